"""The alerts that stand, on a SQL database."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_, update

from homing.model.alerts import About, Alert, AlertKind, Subject
from homing.model.notices import AlertsChanged
from homing.store.db.database import Database
from homing.store.db.schema.tables import alerts
from homing.store.db.sql import dialect_of, insert
from homing.store.notices.announce import Changes
from homing.store.notices.notices import StagedNotices


class SqlAlerts:
    """`ports.Alerts` on SQLite and PostgreSQL."""

    def __init__(self, database: Database, notices: StagedNotices) -> None:
        self._database, self._changes = database, Changes(database, notices)

    async def standing(self, *, limit: int) -> list[Alert]:
        return await self._database.read(lambda c: _standing(c, limit))

    async def change(self, raised: Collection[Alert], resolved: Collection[tuple[Subject, AlertKind]]) -> None:
        def changed(connection: Connection) -> tuple[None, list[AlertsChanged]]:
            _resolve(connection, resolved)
            _raise(connection, raised)
            return None, [AlertsChanged()]

        if raised or resolved:
            await self._changes.make(changed)

    async def affirm(self, named: Collection[tuple[Subject, AlertKind]]) -> None:
        if named:
            await self._database.write(lambda c: _affirm(c, named, self._database.now(c)))

    async def expire(self, *, after_s: float) -> list[tuple[Subject, AlertKind]]:
        def overdue(connection: Connection) -> bool:
            before = self._database.now(connection) - timedelta(seconds=after_s)
            return connection.scalar(select(alerts.c.kind).where(alerts.c.affirmed_at < before).limit(1)) is not None

        def expired(connection: Connection) -> tuple[list[tuple[Subject, AlertKind]], list[AlertsChanged]]:
            gone = _expire(connection, self._database.now(connection) - timedelta(seconds=after_s))
            return gone, [AlertsChanged()] if gone else []

        return await self._changes.make(expired) if await self._database.read(overdue) else []


def _affirm(connection: Connection, named: Collection[tuple[Subject, AlertKind]], now: datetime) -> None:
    keys = sorted((subject.about.value, subject.name, kind.value) for subject, kind in named)
    connection.execute(update(alerts).where(_key().in_(keys)).values(affirmed_at=now))


def _expire(connection: Connection, before: datetime) -> list[tuple[Subject, AlertKind]]:
    known = [kind.value for kind in AlertKind]
    gone = delete(alerts).where(alerts.c.affirmed_at < before, alerts.c.kind.in_(known))
    rows = connection.execute(gone.returning(alerts.c.about, alerts.c.subject, alerts.c.kind)).all()
    return [(Subject(About(row.about), row.subject), AlertKind(row.kind)) for row in rows]


def _key() -> Any:
    return tuple_(alerts.c.about, alerts.c.subject, alerts.c.kind)


def _standing(connection: Connection, limit: int) -> list[Alert]:
    statement = select(alerts).order_by(alerts.c.raised_at, alerts.c.subject, alerts.c.kind).limit(limit)
    return [
        Alert(AlertKind(row.kind), Subject(About(row.about), row.subject), row.reason, row.raised_at)
        for row in connection.execute(statement.where(alerts.c.kind.in_([kind.value for kind in AlertKind])))
    ]


def _resolve(connection: Connection, resolved: Collection[tuple[Subject, AlertKind]]) -> None:
    if resolved:
        named = sorted((subject.about.value, subject.name, kind.value) for subject, kind in resolved)
        connection.execute(delete(alerts).where(tuple_(alerts.c.about, alerts.c.subject, alerts.c.kind).in_(named)))


def _raise(connection: Connection, raised: Collection[Alert]) -> None:
    if not raised:
        return
    statement = insert(dialect_of(connection), alerts)
    kept = statement.on_conflict_do_update(
        index_elements=[alerts.c.about, alerts.c.subject, alerts.c.kind], set_={"reason": statement.excluded.reason}
    )
    rows = [
        {
            "about": each.subject.about.value,
            "subject": each.subject.name,
            "kind": each.kind.value,
            "reason": each.reason,
            "raised_at": each.raised_at,
        }
        # In one order in every gateway, so that two of them never wait for each other's rows.
        for each in sorted(raised, key=lambda each: (each.subject.about, each.subject.name, each.kind))
    ]
    connection.execute(kept, rows)

"""The alerts that stand, on a SQL database."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, tuple_

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

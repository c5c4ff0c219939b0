"""What was seen of observed instances, on a SQL database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, select, tuple_

from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.observing import Agreement, Watched, WouldHave, WouldKind
from homing.store.db.database import Database
from homing.store.db.schema.observing import observations, would_haves
from homing.store.db.sql import dialect_of, insert

_KINDS = [kind.value for kind in WouldKind]


class SqlWatchLog:
    """`ports.watch_log.WatchLog` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, would: Collection[WouldHave], watched: Collection[Watched]) -> None:
        def noted(connection: Connection) -> None:
            _note_would(connection, would)
            _note_watched(connection, watched)

        if would or watched:
            await self._database.write(noted)

    async def would_haves(
        self, instance: InstanceUrl | None = None, *, since: datetime, limit: int
    ) -> Sequence[WouldHave]:
        return await self._database.read(lambda c: _would_haves(c, instance, since, limit))

    async def counts(self, *, since: datetime) -> Mapping[InstanceUrl, Mapping[WouldKind, int]]:
        return await self._database.read(lambda c: _counts(c, since))

    async def agreements(self, *, since: datetime) -> Mapping[InstanceUrl, Agreement]:
        return await self._database.read_aside(lambda c: _agreements(c, since))

    async def prune(self, *, before: datetime, limit: int) -> int:
        return await self._database.write(lambda c: _prune(c, before, limit))


def _note_would(connection: Connection, would: Collection[WouldHave]) -> None:
    if not would:
        return
    statement = insert(dialect_of(connection), would_haves)
    new = statement.excluded
    key = [would_haves.c.instance_url, would_haves.c.kind, would_haves.c.session_id]
    kept = statement.on_conflict_do_update(
        index_elements=key,
        set_={"reason": new.reason, "last_at": new.last_at, "times": would_haves.c.times + new.times},
    )
    rows = [
        {
            "instance_url": each.instance_url,
            "kind": each.kind.value,
            "session_id": each.session_id,
            "reason": each.reason,
            "first_at": each.first_at,
            "last_at": each.last_at,
            "times": each.times,
        }
        # In one order in every gateway, so that two of them never wait for each other's rows.
        for each in sorted(would, key=lambda each: (each.instance_url, each.kind, each.session_id))
    ]
    connection.execute(kept, rows)


def _note_watched(connection: Connection, watched: Collection[Watched]) -> None:
    if not watched:
        return
    statement = insert(dialect_of(connection), observations)
    new, kept = statement.excluded, observations.c
    summed = {name: kept[name] + new[name] for name in ("lists", "lists_failed", "recorded", "seen")}
    read = new.lists > 0
    statement = statement.on_conflict_do_update(
        index_elements=[kept.instance_url, kept.hour],
        set_={**summed, "last_at": new.last_at, "strays": case((read, new.strays), else_=kept.strays)},
    )
    rows = [
        {
            "instance_url": each.instance_url,
            "hour": each.at.replace(minute=0, second=0, microsecond=0),
            "lists": int(not each.failed),
            "lists_failed": int(each.failed),
            "recorded": each.recorded,
            "seen": each.seen,
            "strays": each.strays,
            "last_at": each.at,
        }
        for each in sorted(watched, key=lambda each: (each.instance_url, each.at))
    ]
    connection.execute(statement, rows)


def _would_haves(
    connection: Connection, instance: InstanceUrl | None, since: datetime, limit: int
) -> Sequence[WouldHave]:
    of = would_haves.c
    statement = select(would_haves).where(of.last_at >= since, of.kind.in_(_KINDS))
    if instance is not None:
        statement = statement.where(of.instance_url == instance)
    newest = statement.order_by(of.last_at.desc(), of.instance_url, of.kind, of.session_id).limit(limit)
    return [
        WouldHave(
            InstanceUrl(row.instance_url),
            WouldKind(row.kind),
            SessionId(row.session_id),
            row.reason,
            row.first_at,
            row.last_at,
            row.times,
        )
        for row in connection.execute(newest)
    ]


def _counts(connection: Connection, since: datetime) -> Mapping[InstanceUrl, Mapping[WouldKind, int]]:
    of = would_haves.c
    statement = select(of.instance_url, of.kind, func.count().label("rows")).where(of.last_at >= since)
    found: dict[InstanceUrl, dict[WouldKind, int]] = {}
    for row in connection.execute(statement.where(of.kind.in_(_KINDS)).group_by(of.instance_url, of.kind)):
        found.setdefault(InstanceUrl(row.instance_url), {})[WouldKind(row.kind)] = int(row.rows)
    return found


def _agreements(connection: Connection, since: datetime) -> Mapping[InstanceUrl, Agreement]:
    of = observations.c
    asked = select(observations).where(of.hour >= since.replace(minute=0, second=0, microsecond=0))
    found: dict[InstanceUrl, Agreement] = {}
    for row in connection.execute(asked.order_by(of.instance_url, of.hour)):
        url = InstanceUrl(row.instance_url)
        found[url] = _with_hour(found.get(url, Agreement()), row)
    return found


def _with_hour(sum_of: Agreement, row: Any) -> Agreement:
    """The hours come in order: the newest that read a list says how many strays there are."""
    return Agreement(
        lists=sum_of.lists + row.lists,
        lists_failed=sum_of.lists_failed + row.lists_failed,
        recorded=sum_of.recorded + row.recorded,
        seen=sum_of.seen + row.seen,
        strays=row.strays if row.lists else sum_of.strays,
        first_at=sum_of.first_at or row.hour,
        last_at=row.last_at,
    )


def _prune(connection: Connection, before: datetime, limit: int) -> int:
    would, seen = would_haves.c, observations.c
    key = tuple_(would.instance_url, would.kind, would.session_id)
    old = select(would.instance_url, would.kind, would.session_id).where(would.last_at < before).limit(limit)
    gone = connection.execute(delete(would_haves).where(key.in_(old))).rowcount
    hours = select(seen.instance_url, seen.hour).where(seen.hour < before).limit(limit)
    gone += connection.execute(delete(observations).where(tuple_(seen.instance_url, seen.hour).in_(hours))).rowcount
    return gone

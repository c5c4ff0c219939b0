"""Instances that are to be started anew, on a SQL database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from homing.model.fleet import InstanceUrl
from homing.model.instances.recycling import Recycle, RecycleState
from homing.store.db.database import Database
from homing.store.db.schema.hearing import recycles
from homing.store.db.sql import dialect_of, insert

_CHANGING = ("state", "incarnation", "told_at", "was_away", "stayed", "ended_at", "result")
_OPEN = recycles.c.ended_at.is_(None)


class SqlRecycles:
    """`ports.instances.recycles.Recycles` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, url: InstanceUrl, reason: str, *, with_gap: bool, at: datetime) -> Recycle:
        values = {"instance_url": url, "asked_at": at, "reason": reason, "with_gap": with_gap}

        def asked(connection: Connection) -> Recycle:
            adding = insert(dialect_of(connection), recycles).values({**values, "state": RecycleState.ASKED.value})
            connection.execute(adding.on_conflict_do_nothing())
            row = connection.execute(select(recycles).where(_OPEN, recycles.c.instance_url == url)).one()
            return _recycle(row)

        return await self._database.write(asked)

    async def open(self) -> Sequence[Recycle]:
        asked = select(recycles).where(_OPEN).order_by(recycles.c.id)
        return await self._database.read(lambda c: [_recycle(row) for row in c.execute(asked)])

    async def keep(self, before: Recycle, after: Recycle) -> bool:
        still = (recycles.c.id == before.id) & (recycles.c.state == before.state.value) & _OPEN
        values = {name: getattr(after, name) for name in _CHANGING} | {"state": after.state.value}

        def kept(connection: Connection) -> bool:
            return bool(connection.execute(update(recycles).where(still).values(values)).rowcount)

        return await self._database.write(kept)

    async def newest(self, *, limit: int) -> Sequence[Recycle]:
        asked = select(recycles).order_by(recycles.c.id.desc()).limit(limit)
        return await self._database.read(lambda c: [_recycle(row) for row in c.execute(asked)])


def _recycle(row: Row[Any]) -> Recycle:
    return Recycle(
        id=row.id,
        instance_url=InstanceUrl(row.instance_url),
        asked_at=row.asked_at,
        reason=row.reason,
        with_gap=row.with_gap,
        state=RecycleState(row.state),
        incarnation=row.incarnation,
        told_at=row.told_at,
        was_away=row.was_away,
        stayed=row.stayed,
        ended_at=row.ended_at,
        result=row.result,
    )

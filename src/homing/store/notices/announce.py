"""Changes that others are to hear of."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.notices.notices import Announce, StagedNotices

T = TypeVar("T")


class Changes:
    """Writes a change and tells everybody. Once begun it is carried through, even if whoever asked for it goes away:
    between the commit and its announcement, that would leave stale routes behind."""

    def __init__(self, database: Database, notices: StagedNotices) -> None:
        self._database, self._notices = database, notices
        self._under_way: set[asyncio.Task[Any]] = set()

    async def make(self, fn: Callable[[Connection], tuple[T, Sequence[Notice]]]) -> T:
        """Do it in one transaction; `fn` answers a value and what there is to be told."""
        return await self._carried_through(self._written_and_told(fn))

    async def _written_and_told(self, fn: Callable[[Connection], tuple[T, Sequence[Notice]]]) -> T:
        def staged(connection: Connection) -> tuple[T, Announce]:
            value, notices = fn(connection)
            return value, self._notices.stage(connection, notices)

        value, announce = await self._database.write(staged)
        await announce()
        return value

    async def _carried_through(self, change: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(change)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, change: asyncio.Task[Any]) -> None:
        self._under_way.discard(change)
        if not change.cancelled():
            change.exception()  # whoever asked hears of it; who went away finds that nothing was changed

"""One database for all, in memory, as each process reaches it: late, not at all, or without hearing how it ended."""

import asyncio
import random
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, text

from homing.model.notices import Notice
from homing.ports import StoreUnavailable
from homing.sim.trial.network import Network
from homing.sim.trial.processes import Process, settle
from homing.store.database import Dialect
from homing.store.notices import Announce, Subscribers
from homing.store.sqlite import SqliteMemory

T = TypeVar("T")

PLACE = "store"
UNREACHED_AFTER_S = 1.0
UNANSWERED_AFTER_S = 5.0


@dataclass(slots=True)
class Troubles:
    """What is wrong with the store as a whole. Chances of a write that is lost, before and after its commit."""

    away: int = 0
    lost_before: float = 0.0
    lost_after: float = 0.0
    slow_s: float = 0.0


class Store:
    """The database itself."""

    def __init__(self, network: Network, chance: random.Random, now: Callable[[], datetime]) -> None:
        self.network, self.chance = network, chance
        self.troubles = Troubles()
        self.memory = SqliteMemory(now=now, tables=False)
        self.told: dict[Carrier, None] = {}
        self._standby: sqlite3.Connection | None = None

    @property
    def raw(self) -> sqlite3.Connection:
        raw: Any = self.memory._connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw

    def fill(self, template: sqlite3.Connection) -> None:
        """Begin as a copy of another database."""
        template.backup(self.raw)

    def standby_catches_up(self) -> None:
        """What was committed until now survives a failover."""
        self._standby = sqlite3.connect(":memory:")
        self.raw.backup(self._standby)

    def fail_over(self) -> None:
        """The standby takes over: another history of the store, without the newest commits."""
        if self._standby is not None:
            self._standby.backup(self.raw)
            self._standby = None
            connection = self.memory._connection
            connection.execute(text("UPDATE store_clock SET store_id = :id"), {"id": secrets.token_hex(8)})
            connection.commit()


class Reached:
    """`store.database.Database`, as one process reaches it."""

    dialect: Dialect = "sqlite"

    def __init__(self, store: Store, place: str) -> None:
        self._store, self._link = store, store.network.link(place, PLACE)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        await self._reach()
        value = await self._store.memory.read(fn)
        await self._return()
        return value

    async def write(self, fn: Callable[[Connection], T]) -> T:
        troubles, chance = self._store.troubles, self._store.chance
        await self._reach()
        if troubles.lost_before and chance.random() < troubles.lost_before:
            await self._unanswered("the transaction was lost on the way")
        value = await self._store.memory.write(fn)
        if troubles.lost_after and chance.random() < troubles.lost_after:
            await self._unanswered("the answer to the commit was lost on the way")
        await self._return()
        return value

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        return await self.write(fn)

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        return self._store.memory.instant(after_s)

    def now(self, connection: Connection) -> datetime:
        return self._store.memory.now(connection)

    async def close(self) -> None:
        pass

    async def _reach(self) -> None:
        await self._pause(self._store.network.delay_s(self._link) + self._store.troubles.slow_s)
        if self._link.cuts:
            await self._pause(UNREACHED_AFTER_S)
            raise StoreUnavailable("the store cannot be reached")
        if self._store.troubles.away:
            raise StoreUnavailable("the store does not take connections")

    async def _return(self) -> None:
        await self._pause(self._store.network.delay_s(self._link))
        if self._link.cuts:
            await self._unanswered("the answer was lost on the way")

    async def _unanswered(self, why: str) -> None:
        await self._pause(UNANSWERED_AFTER_S * self._store.chance.random())
        raise StoreUnavailable(why)

    async def _pause(self, delay_s: float) -> None:
        loop = self._store.network.loop
        passed: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(delay_s, settle, passed)
        try:
            await passed
        finally:
            timer.cancel()


class Carrier:
    """`store.notices.StagedNotices` of one gateway: word of commits travels through the store, and may be lost."""

    def __init__(self, store: Store, process: Process, place: str) -> None:
        self._store, self._process, self._link = store, process, store.network.link(place, PLACE)
        self._subscribers = Subscribers()
        store.told[self] = None
        process.when_it_dies(self._leave)

    async def start(self) -> None:
        return

    async def close(self) -> None:
        self._leave()

    def subscribe(self, hear: Callable[[Notice], None]) -> None:
        self._subscribers.add(hear)

    async def publish(self, notices: Sequence[Notice]) -> None:
        for other in list(self._store.told):
            if other is self:
                self._subscribers.tell(notices)
            elif not self._link.cuts:
                other.send(notices)

    def stage(self, connection: Connection, notices: Sequence[Notice]) -> Announce:  # noqa: ARG002 - told afterwards
        return lambda: self.publish(notices)

    def send(self, notices: Sequence[Notice]) -> None:
        """Let this gateway hear, unless the word is lost on the way."""

        def arrive() -> None:
            if not (self._link.cuts or self._store.troubles.away):
                self._process.call(self._subscribers.tell, notices)

        self._store.network.later(self._store.network.delay_s(self._link), arrive)

    def _leave(self) -> None:
        self._store.told.pop(self, None)

"""One database for all, in memory, as each process reaches it: late, not at all, or without hearing how it ended."""

import asyncio
import random
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, text

from homing.lab.sim.trial.world.network import NetworkLink, SimulatedNetwork
from homing.lab.sim.trial.world.processes import Process
from homing.model.notices import Notice
from homing.ports import StoreUnavailable, TellHearing
from homing.store.db.database import Dialect
from homing.store.notices.notices import Announce, Subscribers
from homing.store.sqlite.engine import SqliteMemory

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

    def __init__(self, network: SimulatedNetwork, chance: random.Random, now: Callable[[], datetime]) -> None:
        self.network, self.chance = network, chance
        self.troubles = Troubles()
        self.memory = SqliteMemory(now=now, tables=False)
        self.told: dict[Carrier, None] = {}
        self._standby: sqlite3.Connection | None = None

    def fill(self, template: SqliteMemory) -> None:
        """Begin as a copy of another database."""
        template.raw.backup(self.memory.raw)

    def close(self) -> None:
        self.memory.close_now()

    def standby_catches_up(self) -> None:
        """What was committed until now survives a failover."""
        self._standby = sqlite3.connect(":memory:")
        self.memory.raw.backup(self._standby)

    def fail_over(self) -> None:
        """The standby takes over: another history of the store, without the newest commits."""
        if self._standby is not None:
            self._standby.backup(self.memory.raw)
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
        return await _Operation(self._store, self._link, self._store.memory.read_now, fn, may_be_lost=False).answer

    async def write(self, fn: Callable[[Connection], T]) -> T:
        return await _Operation(self._store, self._link, self._store.memory.write_now, fn, may_be_lost=True).answer

    async def read_aside(self, fn: Callable[[Connection], T]) -> T:
        return await self.read(fn)

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        return await self.write(fn)

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        return self._store.memory.instant(after_s)

    def now(self, connection: Connection) -> datetime:
        return self._store.memory.now(connection)

    async def close(self) -> None:
        pass


class _Operation(Generic[T]):
    """One operation on its way to the store, and its answer on the way back.

    Once it is on its way it happens, whatever becomes of the process that asked; unless that gave up waiting for it.
    """

    def __init__(
        self,
        store: Store,
        link: NetworkLink,
        run: Callable[[Callable[[Connection], T]], T],
        fn: Callable[[Connection], T],
        *,
        may_be_lost: bool,
    ) -> None:
        self._store, self._link, self._run, self._fn = store, link, run, fn
        self._may_be_lost = may_be_lost
        self.answer: asyncio.Future[T] = store.network.loop.create_future()
        self._later(store.troubles.slow_s, self._arrive)

    def _later(self, more_s: float, then: Callable[[], None]) -> None:
        network = self._store.network
        network.later(network.delay_s(self._link) + more_s, then)

    def _arrive(self) -> None:
        troubles = self._store.troubles
        if self.answer.done():
            return
        if self._link.cuts:
            self._fail_later(UNREACHED_AFTER_S, "the store cannot be reached")
        elif troubles.away:
            self._fail("the store does not take connections")
        elif self._is_lost(troubles.lost_before):
            self._fail_later(self._patience_s(), "the transaction was lost on the way")
        else:
            self._happen()

    def _happen(self) -> None:
        try:
            value = self._run(self._fn)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
            self._later(0.0, partial(self._raise, error))
            return
        if self._is_lost(self._store.troubles.lost_after):
            self._fail_later(self._patience_s(), "the answer to the commit was lost on the way")
        else:
            self._later(0.0, partial(self._return, value))

    def _return(self, value: T) -> None:
        if self._link.cuts:
            self._fail_later(self._patience_s(), "the answer was lost on the way")
        elif not self.answer.done():
            self.answer.set_result(value)

    def _raise(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _is_lost(self, chance: float) -> bool:
        return self._may_be_lost and chance > 0 and self._store.chance.random() < chance

    def _patience_s(self) -> float:
        return UNANSWERED_AFTER_S * self._store.chance.random()

    def _fail_later(self, after_s: float, why: str) -> None:
        self._store.network.later(after_s, partial(self._fail, why))

    def _fail(self, why: str) -> None:
        self._raise(StoreUnavailable(why))


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

    def watch_hearing(self, tell: TellHearing) -> None:
        tell(None)

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

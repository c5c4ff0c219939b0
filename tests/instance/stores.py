"""A database that a test can take away, what is in its vault, and how patient hosts are in tests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, select

from homing.decide.fleet.leases import LeasePolicy
from homing.instance.policy import HostPolicy
from homing.ports import StoreUnavailable
from homing.store.db.database import Database, Dialect
from homing.store.db.schema.device_state import inbox
from homing.store.db.schema.tables import credentials, reservations
from homing.store.vault.sealing import fresh_key

T = TypeVar("T")

QUICK = HostPolicy(
    login_wait_s=5.0,
    acknowledge_within_s=5.0,
    resend_within_s=1.0,
    stop_within_s=0.5,
    reconnect_first_s=0.004,
    reconnect_max_s=0.05,
    ask_again_s=0.005,
    logins_per_s=1000,
    offer_again_s=0.005,
)
BRIEF = LeasePolicy(heartbeat_s=0.05, repeat_s=0.02, self_fence_s=1.5, expiry_s=2.0)
KEY = "secret"
VAULT_KEY = fresh_key("test")


class Breakable:
    """`Database` around another one. ``away``: nothing is done. ``mute``: it is done, and nobody hears of it."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.away = self.mute = False
        self.open = asyncio.Event()
        self.open.set()
        self.writes = 0

    @property
    def dialect(self) -> Dialect:
        return self._inner.dialect

    async def read(self, fn: Callable[[Connection], T]) -> T:
        await self.open.wait()
        self._check()
        return await self._inner.read(fn)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        await self.open.wait()
        self._check()
        self.writes += 1
        value = await self._inner.write(fn)
        if self.mute:
            raise StoreUnavailable("the answer was lost")
        return value

    async def read_aside(self, fn: Callable[[Connection], T]) -> T:
        return await self.read(fn)

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        return await self.write(fn)

    def instant(self, after_s: float = 0.0) -> ColumnElement[Any]:
        return self._inner.instant(after_s)

    def now(self, connection: Connection) -> datetime:
        return self._inner.now(connection)

    async def close(self) -> None:
        await self._inner.close()

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is gone")


@dataclass(frozen=True)
class Stored:
    """What the vault has of a session. ``settled`` are ids, with whether they were acknowledged."""

    epoch: int = 0
    holder: str | None = None
    incarnation: str | None = None
    has_login: bool = False
    reserved_to: int = 0
    unfinished: tuple[str, ...] = ()
    settled: tuple[tuple[str, bool], ...] = ()


async def stored(database: Database, session_id: str) -> Stored:
    def look(connection: Connection) -> Stored:
        row = connection.execute(select(credentials).where(credentials.c.session_id == session_id)).one_or_none()
        if row is None:
            return Stored()
        mine = select(reservations).where(reservations.c.session_id == session_id).order_by(reservations.c.counter)
        messages = list(connection.execute(mine))
        return Stored(
            row.epoch,
            row.holder_url,
            row.holder_incarnation,
            row.login is not None,
            row.reserved_to,
            tuple(each.message_id for each in messages if each.settled_at is None),
            tuple((each.message_id, each.acknowledged) for each in messages if each.settled_at is not None),
        )

    return await database.read(look)


async def untold(database: Database) -> list[str]:
    """The ids of what came in and no listener has."""
    mine = select(inbox.c.message_id).where(inbox.c.told_at.is_(None))
    return await database.read(lambda connection: list(connection.scalars(mine)))

"""Notices by LISTEN and NOTIFY: the commit of a change is itself the word of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Connection, bindparam, column, func, select

from homing.ports import Notice
from homing.store.columns import TextList
from homing.store.failures import DRIVER_ERRORS
from homing.store.notice_wire import written
from homing.store.notices import Announce
from homing.store.notices_carried import CarriedNotices
from homing.store.postgres import PostgresDatabase

CHANNEL = "homing_notices"

_TEXTS = func.unnest(bindparam("payloads", type_=TextList())).table_valued(column("payload")).render_derived()
_NOTIFY = select(func.count(func.pg_notify(CHANNEL, _TEXTS.c.payload)))


class PostgresNotices(CarriedNotices):
    """Notices between all gateways on one PostgreSQL database, heard over a connection of their own.

    That connection is asked for a sign of life every `probe_every_s`, and given up after `probe_timeout_s`.
    """

    def __init__(self, database: PostgresDatabase, *, probe_every_s: float = 2.0, probe_timeout_s: float = 2.0) -> None:
        super().__init__("PostgreSQL", DRIVER_ERRORS, start_timeout_s=3.0)
        self._database = database
        self._probe_every_s = probe_every_s
        self._probe_timeout_s = probe_timeout_s

    def stage(self, connection: Connection, notices: Sequence[Notice]) -> Announce:
        letter = self._letter(notices)
        if notices:
            connection.execute(_NOTIFY, {"payloads": written(letter)})

        async def announce() -> None:
            self._tell_here(letter)

        return announce

    async def _send(self, payloads: Sequence[str]) -> None:
        await self._database.write(lambda c: c.execute(_NOTIFY, {"payloads": payloads}))

    async def _listen(self, ready: Callable[[], None]) -> None:
        connection = await self._database.connect_alone()
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda _c, _pid, _channel, payload: self._received(payload))
            ready()
            await self._until_lost(connection, lost)
        finally:
            connection.terminate()

    async def _until_lost(self, connection: "asyncpg.Connection[Any]", lost: asyncio.Event) -> None:
        while not lost.is_set():
            await connection.execute("SELECT 1", timeout=self._probe_timeout_s)
            await self._settle_debt()
            try:
                async with asyncio.timeout(self._probe_every_s):
                    await lost.wait()
            except TimeoutError:
                continue
        raise ConnectionResetError("the connection was closed")

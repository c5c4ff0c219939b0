"""Notices by LISTEN and NOTIFY: the commit of a change is itself the word of it."""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, bindparam, column, func, select

from homing.ports import Notice
from homing.store.db.database import StoreMisconfigured
from homing.store.db.failures import DRIVER_ERRORS
from homing.store.db.opening import parse
from homing.store.db.schema.columns import TextList
from homing.store.notices.codec import written
from homing.store.notices.notices import Announce
from homing.store.notices.remote import PROVE_EVERY_S, PROVED_WITHIN_S, CarriedNotices
from homing.store.postgres.connecting import Limits, Opened, TakesNoWrites, WritableServer, still_writable
from homing.store.postgres.dsn import PostgresDsn
from homing.store.postgres.engine import PostgresDatabase

CHANNEL = "homing_notices"
_CONNECT_WITHIN_S, _STATEMENT_WITHIN_S = 1.0, 5.0

_TEXTS = func.unnest(bindparam("payloads", type_=TextList())).table_valued(column("payload")).render_derived()
_NOTIFY = select(func.count(func.pg_notify(CHANNEL, _TEXTS.c.payload)))


class PostgresNotices(CarriedNotices):
    """Notices between all gateways on one PostgreSQL database, heard over a connection of their own.

    That connection is asked for a sign of life every `probe_every_s`, and given up after `probe_timeout_s`; also when
    its server takes no writes any more, as those who write are elsewhere then.
    """

    deaf_because = (
        "a pooler such as PgBouncer in transaction mode keeps no LISTEN. Set HOMING_LISTEN_URL to the same database"
        " without the pooler, or HOMING_REDIS_URL"
    )

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        listen_url: str | None = None,
        probe_every_s: float = 2.0,
        probe_timeout_s: float = 2.0,
        prove_every_s: float = PROVE_EVERY_S,
        proved_within_s: float = PROVED_WITHIN_S,
    ) -> None:
        """`listen_url` is where to listen, if not where all else is done. Raises StoreMisconfigured."""
        super().__init__(
            "PostgreSQL",
            DRIVER_ERRORS,
            start_timeout_s=3.0,
            prove_every_s=prove_every_s,
            proved_within_s=proved_within_s,
        )
        self._database = database
        self._listens_at = _server(listen_url) if listen_url else None
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
        opened = await self._opened()
        connection = opened.connection
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda _c, _pid, _channel, payload: self._received(payload))
            ready()
            await self._until_lost(opened, lost)
        finally:
            connection.terminate()

    async def _opened(self) -> Opened:
        return await (self._database.connect_alone() if self._listens_at is None else self._listens_at.connect())

    async def _until_lost(self, opened: Opened, lost: asyncio.Event) -> None:
        while not lost.is_set():
            await self._probe(opened)
            await self._settle_debt()
            try:
                async with asyncio.timeout(self._probe_every_s):
                    await lost.wait()
            except TimeoutError:
                continue
        raise ConnectionResetError("the connection was closed")

    async def _probe(self, opened: Opened) -> None:
        if opened.is_pooled:
            await opened.connection.execute("SELECT 1", timeout=self._probe_timeout_s)
        elif not await still_writable(opened.connection, timeout_s=self._probe_timeout_s):
            # What is only read or announced there raises no error by itself.
            self._database.doubt()
            raise TakesNoWrites("the server takes no writes any more")


def _server(url: str) -> WritableServer:
    dsn = parse(url)
    if not isinstance(dsn, PostgresDsn):
        raise StoreMisconfigured("HOMING_LISTEN_URL is for PostgreSQL, and names something else")
    return WritableServer(dsn, Limits(_CONNECT_WITHIN_S, _STATEMENT_WITHIN_S))

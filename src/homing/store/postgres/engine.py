"""PostgreSQL, over asyncpg, with a limit on every wait."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import ColumnElement, Connection, Float, cast, event, func, select, type_coerce
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from homing.store.db.database import Dialect
from homing.store.db.failures import DRIVER_ERRORS, belongs_elsewhere, disconnected, lost_a_race, unavailable
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.turns import WAIT_IN_LINE, TurnTaken, let_wait
from homing.store.postgres.connecting import Limits, Opened, WritableServer
from homing.store.postgres.dsn import PostgresDsn
from homing.store.records.recording import by_its_act

T = TypeVar("T")

_TRIES = 4

_CLOCK = select(func.clock_timestamp())

_POOLED, _OPENED_S = "pooled", "opened_s"
"""Of a connection's info: whether a pooler stands in between, see `Opened`; and since when it is."""


class PostgresDatabase:
    """A database on PostgreSQL: on whichever of the named servers takes its writes.

    Connections are made when first needed, at most `pool_size` of them.
    """

    dialect: Dialect = "postgresql"

    def __init__(
        self,
        dsn: PostgresDsn,
        *,
        pool_size: int = 10,
        connect_timeout_s: float = 1.0,
        statement_timeout_s: float = 5.0,
        pool_timeout_s: float = 1.0,
    ) -> None:
        self._server = WritableServer(dsn, Limits(connect_timeout_s, statement_timeout_s))
        self._engine = engine_on(self._server, pool_size=pool_size, max_overflow=0, pool_timeout=pool_timeout_s)
        # Without BEGIN and COMMIT, a statement costs one round trip instead of three.
        self._at_once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        connects_s = self._server.connects_within_s
        self._read_limit_s = pool_timeout_s + connects_s + statement_timeout_s
        self._write_limit_s = pool_timeout_s + connects_s + 6 * statement_timeout_s
        self._in_line = asyncio.Semaphore(min(WAIT_IN_LINE, max(1, pool_size // 2)))
        self._cleaning: set[asyncio.Task[None]] = set()
        self._doubted_s = 0.0

    async def read(self, fn: Callable[[Connection], T]) -> T:
        try:
            async with asyncio.timeout(self._read_limit_s):
                return await self._twice(fn)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    async def read_aside(self, fn: Callable[[Connection], T]) -> T:
        return await self.read(fn)

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        try:
            async with asyncio.timeout(self._write_limit_s):
                return await self._twice(fn)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    async def write(self, fn: Callable[[Connection], T]) -> T:
        try:
            async with asyncio.timeout(self._write_limit_s):
                return await self._write(by_its_act(fn))
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        now = func.clock_timestamp()
        later = now + func.make_interval(0, 0, 0, 0, 0, 0, cast(after_s, Float(53))) if after_s else now
        return type_coerce(later, UtcDateTime())

    def now(self, connection: Connection) -> datetime:
        now: datetime = connection.scalars(_CLOCK).one()
        return now

    async def connect_alone(self) -> Opened:
        """A connection outside of the pool, for one that listens. Raises the driver's own errors."""
        return await self._server.connect()

    def doubt(self) -> None:
        """The server that the pool's connections lead to was seen to be silent, or to take no writes: none of them is
        used again."""
        self._doubted_s = time.monotonic()

    async def close(self) -> None:
        if self._cleaning:
            await asyncio.wait(self._cleaning, timeout=2.0)
        await self._engine.dispose()

    async def _twice(self, fn: Callable[[Connection], T]) -> T:
        try:
            return await self._once(self._at_once, fn)
        except DRIVER_ERRORS as error:
            # Pooled connections die with the server. The first to notice empties the pool, so a second try gets a
            # fresh connection; asking each one first whether it lives would double the cost of every statement.
            if not disconnected(error) and not lost_a_race(error):
                raise
            return await self._once(self._at_once, fn)

    async def _write(self, fn: Callable[[Connection], T]) -> T:
        try:
            return await self._committed(fn, waits=False)
        except TurnTaken:
            async with self._in_line:
                return await self._committed(fn, waits=True)

    async def _committed(self, fn: Callable[[Connection], T], *, waits: bool) -> T:
        """`waits`: for its turn, if it takes one, with its connection in its hands."""
        for attempt in range(1, _TRIES + 1):
            committing = False

            def run(connection: Connection) -> T:
                nonlocal committing
                if waits:
                    let_wait(connection)
                value = fn(connection)
                committing = True
                connection.commit()
                return value

            try:
                return await self._once(self._engine, run)
            except DRIVER_ERRORS as error:
                # What failed before its COMMIT was sent is certainly undone, and may be repeated.
                again = lost_a_race(error) or (disconnected(error) and not committing and attempt == 1)
                if not again or attempt == _TRIES:
                    raise
        raise AssertionError("every try returns or raises")

    async def _once(self, engine: AsyncEngine, fn: Callable[[Connection], T]) -> T:
        connection = await self._connected(engine)
        pooled = _info(connection).get(_POOLED)
        try:
            value = await connection.run_sync(_run, fn)
        except DRIVER_ERRORS as error:
            if isinstance(error, TimeoutError) and not pooled:
                # A server that is there ends a slow statement before that: the way to it is silent, for all. A pooler
                # may only be busy, and would be more so with everybody coming anew.
                self.doubt()
            # Tidying up a connection that no longer answers takes as long as the failure itself did.
            self._clean_up(connection, broken=isinstance(error, OSError | TimeoutError))
            raise
        except asyncio.CancelledError:
            self._clean_up(connection, broken=True)
            raise
        except BaseException:
            await connection.close()
            raise
        await connection.close()
        return value

    async def _connected(self, engine: AsyncEngine) -> AsyncConnection:
        connection = await engine.connect()
        while _info(connection)[_OPENED_S] <= self._doubted_s:
            await connection.invalidate()
            await connection.close()
            connection = await engine.connect()
        return connection

    def _clean_up(self, connection: AsyncConnection, *, broken: bool) -> None:
        task = asyncio.ensure_future(_give_back(connection, broken=broken))
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)


async def _give_back(connection: AsyncConnection, *, broken: bool) -> None:
    try:
        if broken:
            await connection.invalidate()
        await connection.close()
    except DRIVER_ERRORS:
        return  # The failure itself was reported; the pool has dropped the connection.


def _info(connection: AsyncConnection) -> dict[Any, Any]:
    assert connection.sync_connection is not None
    return connection.sync_connection.info


def _run(connection: Connection, fn: Callable[[Connection], T]) -> T:
    """Statement by statement as the engine has it; but through a pooler in one transaction, as each may otherwise run
    on another connection than the one it was prepared on."""
    if not connection.info.get(_POOLED) or connection.get_execution_options().get("isolation_level") is None:
        return fn(connection)
    connection.execution_options(isolation_level="READ COMMITTED")
    value = fn(connection)
    connection.commit()
    return value


# --- engines --------------------------------------------------------------------------------------------------


def engine_on(server: WritableServer, **options: Any) -> AsyncEngine:
    """An engine whose connections lead to the server that takes writes, and end when it no longer does."""
    engine = create_async_engine("postgresql+asyncpg://", **options)
    made = engine.sync_engine

    def connect(_dialect: Any, record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        opened = await_only(server.connect())

        async def given(**_: Any) -> "asyncpg.Connection[Any]":
            return opened.connection

        record.info[_POOLED], record.info[_OPENED_S] = opened.is_pooled, time.monotonic()
        parameters["async_creator_fn"] = given
        if opened.is_pooled:
            parameters["prepared_statement_cache_size"] = 0
            # A statement without a name is gone with the next one; a named one would wait for somebody else.
            parameters["prepared_statement_name_func"] = str

    def limit(connection: Connection) -> None:
        if connection.info.get(_POOLED) and server.limits.settings:
            connection.exec_driver_sql(f"SELECT {server.limits.set_by(local=True)}")

    event.listen(made, "do_connect", connect)
    event.listen(made, "begin", limit)
    event.listen(made, "handle_error", _judge)
    event.listen(made, "invalidate", _abandon)
    return engine


def _judge(context: ExceptionContext) -> None:
    """A server that takes no writes any more, or that goes away, ends this connection and all older ones."""
    if belongs_elsewhere(context.original_exception):
        context.is_disconnect = True


def _abandon(connection: Any, _record: Any, _error: BaseException | None) -> None:
    """Drop a connection given up on at once, where the library would first wait for the server to say goodbye."""
    connection.driver_connection.terminate()

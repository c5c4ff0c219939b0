"""PostgreSQL, over asyncpg, with a limit on every wait."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import URL, ColumnElement, Connection, Float, cast, event, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from homing.store.columns import UtcDateTime
from homing.store.database import Dialect
from homing.store.failures import DRIVER_ERRORS, disconnected, lost_a_race, unavailable

T = TypeVar("T")

_TRIES = 4

_CLOCK = select(func.clock_timestamp())


class PostgresDatabase:
    """A database on a PostgreSQL server. Connections are made when first needed, at most `pool_size` of them."""

    dialect: Dialect = "postgresql"

    def __init__(
        self,
        url: URL,
        *,
        pool_size: int = 10,
        connect_timeout_s: float = 1.0,
        statement_timeout_s: float = 5.0,
        pool_timeout_s: float = 1.0,
    ) -> None:
        self._arguments = connect_arguments(connect_timeout_s, statement_timeout_s)
        self._engine = create_async_engine(
            url, connect_args=self._arguments, pool_size=pool_size, max_overflow=0, pool_timeout=pool_timeout_s
        )
        event.listen(self._engine.sync_engine, "invalidate", _abandon)
        # Without BEGIN and COMMIT, a statement costs one round trip instead of three.
        self._at_once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._read_limit_s = pool_timeout_s + connect_timeout_s + statement_timeout_s
        self._write_limit_s = pool_timeout_s + connect_timeout_s + 6 * statement_timeout_s
        self._cleaning: set[asyncio.Task[None]] = set()

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
                return await self._write(fn)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        now = func.clock_timestamp()
        later = now + func.make_interval(0, 0, 0, 0, 0, 0, cast(after_s, Float(53))) if after_s else now
        return type_coerce(later, UtcDateTime())

    def now(self, connection: Connection) -> datetime:
        now: datetime = connection.scalars(_CLOCK).one()
        return now

    async def connect_alone(self) -> "asyncpg.Connection[Any]":
        """A connection outside of the pool, for one that listens. Raises the driver's own errors."""
        _, from_url = self._engine.dialect.create_connect_args(self._engine.url)
        connection: asyncpg.Connection[Any] = await asyncpg.connect(**{**from_url, **self._arguments})
        return connection

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
        for attempt in range(1, _TRIES + 1):
            committing = False

            def run(connection: Connection) -> T:
                nonlocal committing
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
        connection = await engine.connect()
        try:
            value = await connection.run_sync(fn)
        except DRIVER_ERRORS as error:
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


def _abandon(connection: Any, _record: Any, _error: BaseException | None) -> None:
    """Drop a connection given up on at once, where the library would first wait for the server to say goodbye."""
    connection.driver_connection.terminate()


def connect_arguments(connect_timeout_s: float, statement_timeout_s: float) -> dict[str, Any]:
    """What every connection of ours is opened with. The server ends what a frozen or vanished client left open.

    A live server ends a slow statement a little before we would: only a silent one costs us the connection.
    """
    statement_ms = int(statement_timeout_s * 900)
    return {
        "timeout": connect_timeout_s,
        "command_timeout": statement_timeout_s,
        "server_settings": {
            "application_name": "homing",
            "statement_timeout": str(statement_ms),
            "idle_in_transaction_session_timeout": str(2 * statement_ms),
            "timezone": "UTC",
        },
    }

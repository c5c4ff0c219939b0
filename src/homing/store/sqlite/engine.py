"""SQLite, over the standard library's driver: reads where they are asked for, writes grouped in one thread."""

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, create_engine, literal
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from homing.ports import StoreUnavailable
from homing.store.db.database import Dialect, StoreMisconfigured
from homing.store.db.failures import DRIVER_ERRORS, passes_on_file, said, unavailable
from homing.store.db.prepared import PreparedConnection
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.every_table import metadata
from homing.store.records.recording import by_its_act
from homing.store.sqlite.filelock import FileLock
from homing.store.sqlite.shared_clock import SharedClock
from homing.store.sqlite.writer import GroupWriter

T = TypeVar("T")

_OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
_READ_BUSY_MS = 250  # a read waits on the event loop itself
_WRITE_BUSY_MS = 5  # after which the writer asks anew: see GroupWriter
_OPEN_WITHIN_MS = 5_000
_WRITE_TIMEOUT_S = 15.0
_BESIDE = ("", "-wal", "-shm", "-journal")


class SqliteFile:
    """A database in one file.

    Reads run at once on the calling thread: on a local file they take less time than a hop to a thread would.
    Writes that wait at the same time share one transaction, and so one sync of the disk.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, exclusive: bool = False, now: Callable[[], datetime] | None = None) -> None:
        _check_version()
        if not path.parent.is_dir():
            raise StoreMisconfigured(f"the database {path} cannot be opened: there is no directory {path.parent}")
        self.path = path
        self._shared = SharedClock() if now is None else None
        self._now = now or self._shared_now
        self._lock = FileLock.of(path) if exclusive else None
        self._closed = False
        self._aside: PreparedConnection | None = None
        self._aside_turn = asyncio.Lock()
        try:
            self._engine = sqlite_engine(path)
            self._reader: PreparedConnection | None = self._open_reader(_OPEN_WITHIN_MS)
            self._writer = GroupWriter(lambda: self._open(_WRITE_BUSY_MS))
        except DRIVER_ERRORS as error:
            self._release()
            kind = StoreUnavailable if passes_on_file(error, path) else StoreMisconfigured
            raise kind(f"the database {path} cannot be opened: {said(error)}") from error

    @property
    def commits(self) -> int:
        """How many transactions were committed; many writes may share one."""
        return self._writer.commits

    async def read(self, fn: Callable[[Connection], T]) -> T:
        try:
            await self._share_time()
            self._reader = self._reader or self._open_reader()
            return fn(self._reader)
        except DRIVER_ERRORS as error:
            self._throw_away_reader()
            raise unavailable(error) from error

    async def read_aside(self, fn: Callable[[Connection], T]) -> T:
        async with self._aside_turn:
            try:
                await self._share_time()
                self._aside = self._aside or self._open_reader()
                return await asyncio.to_thread(fn, self._aside)
            except DRIVER_ERRORS as error:
                self._throw_away_aside()
                raise unavailable(error) from error
            except asyncio.CancelledError:
                # The thread reads on, on a connection that is its own from here on.
                self._aside = None
                raise

    async def write(self, fn: Callable[[Connection], T]) -> T:
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await self._share_time()
                return await self._writer.write(by_its_act(fn))
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        return await self.write(fn)

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        return literal(self._now() + timedelta(seconds=after_s), UtcDateTime())

    def now(self, connection: Connection) -> datetime:  # noqa: ARG002 - this machine's clock is the file's
        return self._now()

    async def close(self) -> None:
        await self._writer.close()
        self._throw_away_reader()
        async with self._aside_turn:
            self._throw_away_aside()
        self._closed = True
        self._engine.dispose()
        self._release()

    def _shared_now(self) -> datetime:
        assert self._shared is not None
        return self._shared.now()

    async def _share_time(self) -> None:
        if self._shared is None or self._shared.is_shared or self._closed:
            return
        reader = self._reader = self._reader or self._open_reader()
        if not self._shared.read(reader):
            await self._writer.write(self._shared.set)
            self._shared.read(reader)

    def _open(self, busy_ms: int, within_ms: int = _OPEN_WITHIN_MS) -> PreparedConnection:
        connection = PreparedConnection(self._engine)
        prepare(connection, busy_ms, within_ms)
        return connection

    def _open_reader(self, within_ms: int = _READ_BUSY_MS) -> PreparedConnection:
        """One in another's place is opened on the event loop, which waits for nobody longer than a read may."""
        if self._closed:
            raise sqlite3.ProgrammingError("the database is closed")
        connection = self._open(_READ_BUSY_MS, within_ms)
        connection.exec_driver_sql("PRAGMA query_only = ON")
        return connection

    def _throw_away_reader(self) -> None:
        """What failed once may be left in any state, and opening anew costs a reading little."""
        reader, self._reader = self._reader, None
        _close(reader)

    def _throw_away_aside(self) -> None:
        aside, self._aside = self._aside, None
        _close(aside)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _close(connection: PreparedConnection | None) -> None:
    if connection is not None:
        with suppress(*DRIVER_ERRORS):
            connection.close()


class SqliteMemory:
    """A database in memory, for one process and one event loop. Nothing in it ever waits, so no thread is needed."""

    dialect: Dialect = "sqlite"

    def __init__(self, *, now: Callable[[], datetime] | None = None, tables: bool = True) -> None:
        """Without `tables` it is empty, for whoever copies another database into it."""
        _check_version()
        self._now = now or _steady_clock()
        self._connection = PreparedConnection(_memory_engine())
        self._connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        if tables:
            metadata.create_all(self._connection)
        self._connection.commit()

    async def read(self, fn: Callable[[Connection], T]) -> T:
        return self.read_now(fn)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        return self.write_now(fn)

    def read_now(self, fn: Callable[[Connection], T]) -> T:
        try:
            return fn(self._connection)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        try:
            self._connection.command("BEGIN")
            value = fn(self._connection)
            self._connection.commit()
            return value
        except DRIVER_ERRORS as error:
            self._connection.rollback()
            raise unavailable(error) from error
        except BaseException:
            self._connection.rollback()
            raise

    async def read_aside(self, fn: Callable[[Connection], T]) -> T:
        return self.read_now(fn)

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        return await self.write(fn)

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        return literal(self._now() + timedelta(seconds=after_s), UtcDateTime())

    def now(self, connection: Connection) -> datetime:  # noqa: ARG002 - this machine's clock is the file's
        return self._now()

    async def close(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        self._connection.close()

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's own connection, for whoever copies the whole database."""
        raw: Any = self._connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw


# Transactions are begun and ended by us alone; the connections stay with us and not with a thread.
_DRIVER_ARGUMENTS = {"isolation_level": None, "check_same_thread": False}


@cache
def _memory_engine() -> Engine:
    """Each connection of it is a database of its own. One for all, as it keeps the statements that it has compiled."""
    return create_engine("sqlite://", poolclass=NullPool, connect_args=_DRIVER_ARGUMENTS)


def sqlite_engine(path: Path) -> Engine:
    """An engine whose connections begin no transaction by themselves."""
    keep_private(path)
    return create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args=_DRIVER_ARGUMENTS)


def prepare(connection: Connection, busy_ms: int, within_ms: int = _OPEN_WITHIN_MS) -> None:
    """Set what every connection to a file needs: write-ahead logging, each commit on disk, foreign keys."""
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {busy_ms}")
    _switch_to_wal(connection, within_ms)
    connection.exec_driver_sql("PRAGMA synchronous = FULL")
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    connection.rollback()


def _switch_to_wal(connection: Connection, busy_ms: int) -> None:
    deadline_s = time.monotonic() + busy_ms / 1000
    while (mode := _journal_mode(connection)) == "locked" and time.monotonic() < deadline_s:
        # SQLite itself does not wait for this one lock, not even with a busy timeout.
        time.sleep(0.01)
    if mode != "wal":
        raise sqlite3.OperationalError(f"its write-ahead log cannot be had (journal mode: {mode})")


def _journal_mode(connection: Connection) -> str:
    try:
        return str(connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one())
    except OperationalError as error:
        if "locked" in str(error):
            return "locked"
        raise


def _check_version() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreMisconfigured(f"this Python's SQLite is {sqlite3.sqlite_version}; 3.35 or newer is needed")


def _steady_clock() -> Callable[[], datetime]:
    """UTC as it was at this moment, carried on by a clock that nobody sets and that does not stop in suspend."""
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    started_at, started_s = datetime.now(UTC), time.clock_gettime(source)
    return lambda: started_at + timedelta(seconds=time.clock_gettime(source) - started_s)


def keep_private(database: Path) -> None:
    """Create the file for its owner alone, since it holds messages, phones and logins; SQLite gives those beside it the
    same rights.

    From files that are there already only those outside their group are kept out: an operator may share them with a
    group. They are not opened, since to close them would give up the locks that this process has on them. What
    cannot be created or changed is left to SQLite, which says why.
    """
    with suppress(OSError):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for suffix in _BESIDE:
        _close_to_others(database.with_name(database.name + suffix))


def _close_to_others(path: Path) -> None:
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_IRWXO and path.is_file():
            path.chmod(mode & ~stat.S_IRWXO)

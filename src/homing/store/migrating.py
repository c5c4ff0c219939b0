"""Bringing a database to the present of its schema."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, NullPool, text
from sqlalchemy.exc import DatabaseError

from homing.store.database import StoreMisconfigured
from homing.store.failures import DRIVER_ERRORS, beyond_waiting, said, unavailable
from homing.store.opening import parse, shown, sqlite_path
from homing.store.postgres_dsn import PostgresDsn
from homing.store.sqlite import prepare, sqlite_engine

T = TypeVar("T")

_PLACE = Path(__file__).parent / "migrations"
_CONNECT_TIMEOUT_S = 3.0
_WAIT_MS = 60_000
_LOCK_KEY = 0x484F4D494E47  # "HOMING": whoever holds it migrates, the others wait


async def migrate(url: str) -> str:
    """Bring the database to the newest revision and return that. Of several gateways starting at once, one does it.

    Raises StoreUnavailable, or StoreMisconfigured if a newer Homing has been at work in this database.
    """
    return await _on_its_own_connection(url, _upgrade)


async def current_revision(url: str) -> str | None:
    """The revision the database is at; None if it was never migrated."""
    return await _on_its_own_connection(url, _revision)


def newest_revision() -> str:
    """The revision that this version of Homing works with."""
    newest = ScriptDirectory(str(_PLACE)).get_current_head()
    assert newest is not None
    return newest


def _upgrade(connection: Connection) -> str:
    config = Config()
    config.set_main_option("script_location", str(_PLACE).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreMisconfigured(
            f"the database is at revision {_revision(connection)}, which this version of Homing does not know;"
            " run the newer Homing that made it, or restore an older copy of the database"
        ) from error
    return newest_revision()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _on_its_own_connection(url: str, fn: Callable[[Connection], T]) -> T:
    parsed = parse(url)
    try:
        return _on_sqlite(parsed, fn) if isinstance(parsed, URL) else await _on_postgres(parsed, fn)
    except DRIVER_ERRORS as error:
        not_one = isinstance(error, DatabaseError) and "not a database" in said(error)
        if not_one or beyond_waiting(error):
            raise StoreMisconfigured(f"the database {shown(parsed)} cannot be opened: {said(error)}") from error
        raise unavailable(error) from error


def _on_sqlite(url: URL, fn: Callable[[Connection], T]) -> T:
    path = sqlite_path(url)
    if path is None:
        raise StoreMisconfigured("a database in memory has its tables from the start and cannot be migrated")
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        prepare(connection, _WAIT_MS)
        # Rebuilding a table drops the old one, which must not take the rows that refer to it along.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        value = fn(connection)
        connection.commit()
        return value


async def _on_postgres(dsn: PostgresDsn, fn: Callable[[Connection], T]) -> T:
    # Imported only when asked for: a command that works on a file starts sooner without it.
    from homing.store.postgres import engine_on
    from homing.store.postgres_connecting import Limits, WritableServer

    engine = engine_on(WritableServer(dsn, Limits(_CONNECT_TIMEOUT_S, None)), poolclass=NullPool)

    def locked(connection: Connection) -> T:
        connection.execute(text(f"SET LOCAL lock_timeout = {_WAIT_MS}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        return fn(connection)

    async with engine.begin() as connection:
        return await connection.run_sync(locked)

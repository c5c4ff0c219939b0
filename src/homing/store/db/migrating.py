"""Bringing a database to the present of its schema."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, column, delete, insert, select, table, text, update
from sqlalchemy.exc import DatabaseError

from homing.decide.upgrading import SchemaVersion, refused, told_to_alembic
from homing.store.db.database import StoreMisconfigured
from homing.store.db.failures import DRIVER_ERRORS, beyond_waiting, said, unavailable
from homing.store.db.opening import parse, shown, sqlite_path
from homing.store.postgres.dsn import PostgresDsn
from homing.store.sqlite.engine import prepare, sqlite_engine

T = TypeVar("T")

log = structlog.get_logger("homing")

_PLACE = Path(__file__).parents[1] / "migrations"
_CONNECT_TIMEOUT_S = 3.0
_WAIT_MS = 60_000
_alembic = table("alembic_version", column("version_num"))
_schema_version = table("schema_version", column("id"), column("revision"), column("serves_from"))
BOOKKEEPING = frozenset({_alembic.name, _schema_version.name})
"""Tables that tell of the schema, and are no part of it."""
_LOCK_KEY = 0x484F4D494E47  # "HOMING": whoever holds it migrates, the others wait


async def migrate(url: str, *, to: str = "head") -> str:
    """Bring the database to this release's revision and return where it is. Of several starting at once, one does it.

    A database that a newer Homing has been at work in is left as it is. Raises StoreMisconfigured if that does not
    serve this release any more, and StoreUnavailable. `to` stops at an earlier revision, for trials.
    """
    return await _on_its_own_connection(url, lambda connection: _upgrade(connection, to))


async def schema_version(url: str) -> SchemaVersion:
    """How far the database's schema is, and which releases it serves."""
    return await _on_its_own_connection(url, _version)


async def current_revision(url: str) -> str | None:
    """The revision the database is at; None if it was never migrated."""
    return (await schema_version(url)).revision


def newest_revision() -> str:
    """The revision that this version of Homing works with."""
    newest = _scripts().get_current_head()
    assert newest is not None
    return newest


def _upgrade(connection: Connection, to: str) -> str:
    there, ours = _version(connection), newest_revision()
    if there.revision == ours:
        return ours
    if there.revision is not None and there.revision not in _known():
        if (why := refused(there, ours)) is not None:
            raise StoreMisconfigured(why)
        log.info("The database is a newer Homing's, and serves this version too", revision=there.revision)
        return there.revision
    was = _alembic_says(connection)
    if there.revision is not None:
        connection.execute(update(_alembic).values(version_num=there.revision))
    config = Config()
    config.set_main_option("script_location", str(_PLACE).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    return _entered(connection, was)


def _entered(connection: Connection, was: str | None) -> str:
    """Write down where the schema is now, and whom it serves."""
    revision = _alembic_says(connection)
    assert revision is not None
    if (serves_from := serves_from_of(revision)) is not None:
        now = SchemaVersion(revision, serves_from)
        connection.execute(delete(_schema_version))
        connection.execute(insert(_schema_version).values(id=1, revision=revision, serves_from=serves_from))
        connection.execute(update(_alembic).values(version_num=told_to_alembic(was, now)))
    return revision


def serves_from_of(revision: str) -> str | None:
    """The oldest revision whose release may work on this one, by the word of its migration; None if it says none."""
    script = _scripts().get_revision(revision)
    return getattr(script.module, "serves_from", None)


def _version(connection: Connection) -> SchemaVersion:
    """Alembic's own table may name an older revision, for older releases; a revision that we do not know is true."""
    said = _alembic_says(connection)
    if not connection.dialect.has_table(connection, _schema_version.name):
        return SchemaVersion(said)
    row = connection.execute(select(_schema_version.c.revision, _schema_version.c.serves_from)).one_or_none()
    if row is None or (said != row.revision and said not in _known()):
        return SchemaVersion(said)
    return SchemaVersion(row.revision, row.serves_from)


def _alembic_says(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_PLACE))


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
    from homing.store.postgres.connecting import Limits, WritableServer
    from homing.store.postgres.engine import engine_on

    engine = engine_on(WritableServer(dsn, Limits(_CONNECT_TIMEOUT_S, None)), poolclass=NullPool)

    def locked(connection: Connection) -> T:
        connection.execute(text(f"SET LOCAL lock_timeout = {_WAIT_MS}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        return fn(connection)

    async with engine.begin() as connection:
        return await connection.run_sync(locked)

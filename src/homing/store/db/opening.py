"""Which database a URL names."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from homing.store.db.database import Database, StoreMisconfigured
from homing.store.postgres.dsn import PostgresDsn, read_dsn
from homing.store.sqlite.engine import SqliteFile, SqliteMemory

_EXPECTED = "expected sqlite:///path/to/file or postgresql://user@host/name"
_POSTGRES = {"postgres", "postgresql", "postgresql+asyncpg", "postgres+asyncpg"}
_IN_MEMORY = {None, "", ":memory:"}


def open_database(
    url: str,
    *,
    exclusive: bool = False,
    now: Callable[[], datetime] | None = None,
    pool_size: int = 10,
    connect_timeout_s: float = 1.0,
    statement_timeout_s: float = 5.0,
    pool_timeout_s: float = 1.0,
) -> Database:
    """The database that the URL names: `sqlite:///path`, `sqlite://` (in memory, tables made), `postgresql://…`.

    `exclusive` refuses a SQLite file that another gateway serves. `now` is the store's clock where the database has
    none (SQLite). The last four are PostgreSQL's. Raises StoreMisconfigured with one sentence.
    """
    parsed = parse(url)
    if isinstance(parsed, URL):
        path = sqlite_path(parsed)
        return SqliteMemory(now=now) if path is None else SqliteFile(path, exclusive=exclusive, now=now)
    # Imported only when asked for: a command that works on a file starts sooner without it.
    from homing.store.postgres.engine import PostgresDatabase

    return PostgresDatabase(
        parsed,
        pool_size=pool_size,
        connect_timeout_s=connect_timeout_s,
        statement_timeout_s=statement_timeout_s,
        pool_timeout_s=pool_timeout_s,
    )


def parse(url: str) -> URL | PostgresDsn:
    """What the URL names: a file, or a database of PostgreSQL. Raises StoreMisconfigured. Never shows a password."""
    scheme = url.partition("://")[0]
    if scheme in _POSTGRES:
        return read_dsn(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreMisconfigured(f"the database URL cannot be read; {_EXPECTED}") from error
    if parsed.drivername != "sqlite":
        raise StoreMisconfigured(f"no database of the kind {parsed.drivername!r} is supported; {_EXPECTED}")
    if parsed.host or parsed.query:
        raise StoreMisconfigured(f"the database URL {shown(parsed)} is not one for a file; {_EXPECTED}")
    return parsed


def shown(parsed: URL | PostgresDsn) -> str:
    """A database's URL for people, without its password."""
    return parsed.render_as_string(hide_password=True) if isinstance(parsed, URL) else str(parsed)


def database_name(url: str) -> str:
    """What the database is called; of a file, its path."""
    return parse(url).database or ""


def sqlite_path(url: URL) -> Path | None:
    """The file that a SQLite URL names; None for a database in memory."""
    return None if url.database in _IN_MEMORY else Path(url.database or "").expanduser().absolute()

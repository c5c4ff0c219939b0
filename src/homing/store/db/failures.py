"""What an error of a database driver means to everybody else."""

import os
import sqlite3
import ssl
from pathlib import Path

import asyncpg
from sqlalchemy.exc import DBAPIError, PendingRollbackError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from homing.model.disks import may_pass
from homing.ports import RowRefused, StoreUnavailable

DRIVER_ERRORS = (
    DBAPIError,
    NoFreeConnection,
    # What SQLAlchemy says of a connection that an earlier failure left unusable.
    PendingRollbackError,
    ResourceClosedError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    sqlite3.Error,
    OSError,
    TimeoutError,
)

_WORTH_REPEATING = {"40001", "40P01"}  # serialization failure, deadlock

_OF_ANOTHER_SERVER = {"25006", "57P01", "57P02", "57P03"}
"""Takes no writes; shuts down; crashed; starts up or is in recovery. Another connection may lead somewhere better."""

_SQLITE_FOR_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
}

_OF_WHAT_WAS_GIVEN = ("22", "23", "54")
"""Classes of SQLSTATE: data that no column holds, a constraint that is broken, more than fits."""
_SQLITE_OF_WHAT_WAS_GIVEN = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}

_FOR_A_PERSON = {"28P01", "28000", "3D000", "42501"}
"""Wrong password; not admitted; no such database; not permitted. Somebody has to set it right, here or there."""


def unavailable(error: BaseException) -> StoreUnavailable:
    """The one error that callers know, with the driver's words in one sentence."""
    kind = RowRefused if speaks_of_what_was_given(error) else StoreUnavailable
    return kind(f"the database did not do what was asked: {said(error)}")


def speaks_of_what_was_given(error: BaseException) -> bool:
    """The database works, and what it was given is not to its liking: others may well fare better."""
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(own, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_OF_WHAT_WAS_GIVEN
    return (sqlstate(own) or "").startswith(_OF_WHAT_WAS_GIVEN)


def said(error: BaseException) -> str:
    """The first line of what the driver itself said."""
    if isinstance(error, NoFreeConnection):
        return "no connection to it became free in time"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    innermost = own.__cause__ or own
    return str(innermost).strip().split("\n", 1)[0] or type(innermost).__name__


def disconnected(error: BaseException) -> bool:
    """The connection was dead before or while it was used; another one may do."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def belongs_elsewhere(error: BaseException | None) -> bool:
    """The server that this connection leads to is not, or no more, the one that does our work."""
    state = sqlstate(error)
    return state is not None and (state in _OF_ANOTHER_SERVER or state.startswith("08"))


def beyond_waiting(error: BaseException) -> bool:
    """Waiting does not cure it: who or what is named is wrong, or the line cannot be protected as wished.

    A server that is away, starts up, is full, takes no writes or has a name that is not known yet may well come.
    """
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    words = str(own)
    if sqlstate(own) in _FOR_A_PERSON or "unsupported startup parameter" in words or "rejected SSL upgrade" in words:
        return True
    passing = (ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError)
    return isinstance(own, ssl.SSLError) and not isinstance(own, passing)


def passes_on_file(error: BaseException, path: Path) -> bool:
    """What kept a SQLite file from being opened may pass: somebody's lock, or what its disk refuses for now."""
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(own, "sqlite_errorcode", None)
    if code is None:
        return isinstance(own, OSError) and may_pass(own)
    primary = code & 0xFF
    return primary in _SQLITE_FOR_NOW or (primary == sqlite3.SQLITE_CANTOPEN and _is_read_only(path))


def _is_read_only(path: Path) -> bool:
    """The file system. SQLite says of it no more than that it could not open a file."""
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's five letters for an error, if it is one of PostgreSQL's."""
    own = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(own, "sqlstate", None)
    return state if isinstance(state, str) else None


def lost_a_race(error: BaseException) -> bool:
    """The transaction collided with another one and was rolled back whole; the next try may well pass."""
    return isinstance(error, DBAPIError) and sqlstate(error) in _WORTH_REPEATING

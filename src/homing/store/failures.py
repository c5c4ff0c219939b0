"""What an error of a database driver means to everybody else."""

import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError, PendingRollbackError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from homing.ports import StoreUnavailable

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


def unavailable(error: BaseException) -> StoreUnavailable:
    """The one error that callers know, with the driver's words in one sentence."""
    return StoreUnavailable(f"the database did not do what was asked: {said(error)}")


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


def lost_a_race(error: BaseException) -> bool:
    """The transaction collided with another one and was rolled back whole; the next try may well pass."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _WORTH_REPEATING

"""Where a database operation runs, and what may go wrong there.

An operation is a plain synchronous function of a `sqlalchemy.Connection`. A `Database` decides on which connection,
in which thread and in which transaction it runs, so that an operation is written once for both databases.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection

T = TypeVar("T")

Dialect = Literal["sqlite", "postgresql"]


class StoreMisconfigured(ValueError):
    """The database cannot be what the settings say it is. The message is one sentence for the operator."""


class Database(Protocol):
    """One database. `read` and `write` raise StoreUnavailable when it does not answer or refuses.

    An operation may be run again after it failed half-way, so it must have no effect but through its connection.
    """

    @property
    def dialect(self) -> Dialect: ...

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a reading operation. Each of its statements sees what was committed when the statement began."""
        ...

    async def read_aside(self, fn: Callable[[Connection], T]) -> T:
        """The same for a reading that may take long and is in no hurry: it keeps no other operation waiting."""
        ...

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run an operation in one transaction; returns only once that is committed and safe on disk.

        What the operation raises rolls the transaction back and is raised here.
        """
        ...

    async def write_at_once(self, fn: Callable[[Connection], T]) -> T:
        """Run an operation of one statement, which does no harm if it is done twice: on PostgreSQL one round trip."""
        ...

    def instant(self, after_s: float = 0.0) -> ColumnElement[datetime]:
        """The store's own clock, as an expression for one statement: now, or so many seconds later.

        To be asked for inside the operation, so that time spent waiting for a turn is not time lost.
        """
        ...

    def now(self, connection: Connection) -> datetime:
        """The same as a value, asked for within an operation."""
        ...

    async def close(self) -> None: ...

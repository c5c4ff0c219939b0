"""Statements that are built once and, on SQLite, compiled once: what SQLAlchemy decides anew at each execution is kept.

On a local file most of an operation's time goes into getting from a statement to its text and its values; SQLite
itself takes a tenth of it. `prepared` marks the function that builds a statement. A `PreparedConnection` runs what is
so marked straight on the driver's cursor; everything else, and everything on PostgreSQL, takes SQLAlchemy's way.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound
from sqlalchemy.sql.compiler import SQLCompiler

P = ParamSpec("P")
S = TypeVar("S", bound=Executable)

_SQLITE = sqlite.dialect(paramstyle="qmark")

_marked: dict[int, Executable] = {}
"""Every statement that was ever marked, by its identity, which it so keeps."""


def prepared(build: Callable[P, S]) -> Callable[P, S]:
    """Build the statement once for the same arguments, and remember it. It must not contain any value of one request.

    Its parameters are named, and none is a list to be spread out.
    """

    def marked(*args: P.args, **kwargs: P.kwargs) -> S:
        statement = build(*args, **kwargs)
        _marked[id(statement)] = statement
        return statement

    return cache(marked)  # type: ignore[return-value]  # whoever is called with the same, answers the same


class Rows:
    """What a prepared statement answered: what this package asks of SQLAlchemy's results, and no more.

    A row is a named tuple. `rowcount` is how many rows the statement changed.
    """

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        return self._rows

    def one(self) -> Any:
        """Raises NoResultFound, MultipleResultsFound."""
        if not self._rows:
            raise NoResultFound("No row was found where one is required")
        return self.one_or_none()

    def one_or_none(self) -> Any:
        """Raises MultipleResultsFound."""
        if len(self._rows) > 1:
            raise MultipleResultsFound("Several rows were found where one is required")
        return self._rows[0] if self._rows else None

    def scalars(self) -> "Rows":
        """The first value of each row."""
        return Rows([row[0] for row in self._rows], self.rowcount)

    def scalar(self) -> Any:
        """The first value of the first row, or None."""
        return self._rows[0][0] if self._rows else None


class PreparedConnection(Connection):
    """A connection to SQLite that runs marked statements by itself."""

    def execute(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        if self._goes_the_long_way(statement, options) or isinstance(parameters, list):
            return super().execute(statement, parameters, **options)
        return self._run(statement, parameters or {})

    def scalars(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        if self._goes_the_long_way(statement, options):
            return super().scalars(statement, parameters, **options)
        return self._run(statement, parameters or {}).scalars()

    def scalar(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        if self._goes_the_long_way(statement, options):
            return super().scalar(statement, parameters, **options)
        return self._run(statement, parameters or {}).scalar()

    def command(self, words: str) -> None:
        """Tell the driver to begin a transaction, or to set or leave a savepoint."""
        try:
            self._driver.execute(words)
        except sqlite3.Error as error:
            raise DBAPIError.instance(words, (), error, sqlite3.Error, dialect=self.dialect) from error

    def commit(self) -> None:
        if self.get_transaction() is not None:
            super().commit()  # SQLAlchemy began to count a transaction of its own, over the same one
            return
        try:
            self._driver.commit()
        except sqlite3.Error as error:
            raise DBAPIError.instance("COMMIT", (), error, sqlite3.Error, dialect=self.dialect) from error

    def rollback(self) -> None:
        """Undo what is open, whoever began it.

        A COMMIT that failed leaves SQLAlchemy's transaction neither active nor ended, so that `in_transaction` says
        False, while every later statement is refused until it is rolled back.
        """
        if self.get_transaction() is not None:
            super().rollback()
        if self.in_driver_transaction:
            self._driver.rollback()

    @property
    def is_clean(self) -> bool:
        """Whether it is open and nothing is under way on it, by SQLAlchemy's account and by the driver's."""
        return not self.closed and self.get_transaction() is None and not self.in_driver_transaction

    @property
    def in_driver_transaction(self) -> bool:
        """Whether SQLite itself has a transaction open here. It ends one by itself when the disk is full or fails."""
        return bool(self._driver.in_transaction)

    @cached_property
    def _driver(self) -> Any:
        return self.connection.dbapi_connection

    def _goes_the_long_way(self, statement: Any, options: Mapping[str, Any]) -> bool:
        """Whoever listens to what is executed hears of it on SQLAlchemy's way only."""
        return id(statement) not in _marked or bool(options) or bool(self._has_events or self.engine._has_events)

    def _run(self, statement: Executable, parameters: Mapping[str, Any]) -> Any:
        ready = _ready(id(statement), tuple(parameters))
        if ready is None:
            return super().execute(statement, parameters)
        values = ready.values(parameters)
        try:
            return ready.rows(self._driver.execute(ready.text, values))
        except sqlite3.Error as error:
            raise DBAPIError.instance(ready.text, values, error, sqlite3.Error, dialect=self.dialect) from error


class _Ready:
    """A statement's text, and how values go in and come out."""

    def __init__(self, compiled: SQLCompiler, given: Collection[str]) -> None:
        self.text = compiled.string
        self._given: list[tuple[int, str, Callable[[Any], Any]]] = []
        self._own: list[Any] = []
        for place, name in enumerate(compiled.positiontup or ()):
            bind = compiled.binds[name]
            convert = bind.type._cached_bind_processor(compiled.dialect) or _unchanged
            if bind.required or bind.key in given:
                self._given.append((place, bind.key, convert))
                self._own.append(None)
            else:
                self._own.append(convert(bind.effective_value))
        columns = compiled._result_columns
        converts = [each.type._cached_result_processor(compiled.dialect, None) for each in columns]
        self._outwards = [(place, convert) for place, convert in enumerate(converts) if convert is not None]
        names = [each.keyname for each in columns]
        self._row = _row_of(tuple(names))

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        values = self._own.copy()
        for place, key, convert in self._given:
            values[place] = convert(parameters[key])
        return values

    def rows(self, cursor: sqlite3.Cursor) -> Rows:
        # All at once: nothing of a read is left open on the connection.
        fetched: Iterable[Any] = cursor.fetchall() if cursor.description is not None else ()
        rowcount = cursor.rowcount
        cursor.close()
        if not self._outwards:
            return Rows(list(map(self._row, fetched)), rowcount)
        rows = []
        for row in fetched:
            values = list(row)
            for place, convert in self._outwards:
                values[place] = convert(values[place])
            rows.append(self._row(values))
        return Rows(rows, rowcount)


def _row_of(names: tuple[str, ...]) -> Callable[[Iterable[Any]], Any]:
    kind: Any = namedtuple  # noqa: PYI024 - of names that no type can know
    # What `_make` does, without counting the values.
    return partial(tuple.__new__, kind("Row", names, rename=True))


def _unchanged(value: Any) -> Any:
    return value


@cache
def _ready(marked: int, given: tuple[str, ...]) -> _Ready | None:
    """The statement as it is when these parameters are given; None if it has to take the long way each time."""
    compiled: Any = _marked[marked].compile(dialect=_SQLITE, column_keys=list(given))  # type: ignore[attr-defined]
    spreads = compiled.post_compile_params or compiled.literal_execute_params
    return None if spreads else _Ready(compiled, given)

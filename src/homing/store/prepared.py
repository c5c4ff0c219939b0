"""Statements that are built once and, on SQLite, compiled once: what SQLAlchemy decides anew at each execution is kept.

On a local file most of an operation's time goes into getting from a statement to its text and its values; SQLite
itself takes a tenth of it. `prepared` marks the function that builds a statement. A `PreparedConnection` runs what is
so marked straight on the driver's cursor; everything else, and everything on PostgreSQL, takes SQLAlchemy's way.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

P = ParamSpec("P")
S = TypeVar("S", bound=Executable)

_SQLITE = sqlite.dialect(paramstyle="qmark")
_Convert = Callable[[Any], Any] | None

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


class Rows(IteratorResult[Any]):
    """What a prepared statement answered."""

    def __init__(self, metadata: SimpleResultMetaData, rows: Iterator[Any], rowcount: int) -> None:
        super().__init__(metadata, rows)
        self.rowcount = rowcount


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

    def _goes_the_long_way(self, statement: Any, options: Mapping[str, Any]) -> bool:
        """Whoever listens to what is executed hears of it on SQLAlchemy's way only."""
        return id(statement) not in _marked or bool(options) or bool(self._has_events or self.engine._has_events)

    def _run(self, statement: Executable, parameters: Mapping[str, Any]) -> Any:
        ready = _ready(id(statement), tuple(parameters))
        if ready is None:
            return super().execute(statement, parameters)
        driver: Any = self.connection.dbapi_connection
        values = ready.values(parameters)
        try:
            return ready.rows(driver.execute(ready.text, values))
        except sqlite3.Error as error:
            raise DBAPIError.instance(ready.text, values, error, sqlite3.Error, dialect=self.dialect) from error


class _Ready:
    """A statement's text, and how values go in and come out. `None` where they do so as they are."""

    def __init__(self, compiled: SQLCompiler) -> None:
        self.text = compiled.string
        self._inwards = [_Inward(compiled, name) for name in compiled.positiontup or ()]
        columns = compiled._result_columns
        self._outwards: list[_Convert] = [
            each.type._cached_result_processor(compiled.dialect, None) for each in columns
        ]
        self._converts = any(self._outwards)
        self._metadata = SimpleResultMetaData([each.keyname for each in columns])

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        return [inward.value(parameters) for inward in self._inwards]

    def rows(self, cursor: sqlite3.Cursor) -> Rows:
        # All at once: nothing of a read is left open on the connection.
        fetched: Sequence[Any] = cursor.fetchall() if cursor.description is not None else ()
        rowcount = cursor.rowcount
        cursor.close()
        if self._converts:
            fetched = [
                tuple(v if convert is None else convert(v) for v, convert in zip(row, self._outwards, strict=True))
                for row in fetched
            ]
        return Rows(self._metadata, iter(fetched), rowcount)


class _Inward:
    """One value on its way in: given by name, or the statement's own."""

    def __init__(self, compiled: SQLCompiler, name: str) -> None:
        bind = compiled.binds[name]
        self._key, self._is_given, self._own = bind.key, bind.required, bind.effective_value
        self._convert: _Convert = bind.type._cached_bind_processor(compiled.dialect)

    def value(self, parameters: Mapping[str, Any]) -> Any:
        value = parameters[self._key] if self._is_given else parameters.get(self._key, self._own)
        return value if self._convert is None else self._convert(value)


@cache
def _ready(marked: int, given: tuple[str, ...]) -> _Ready | None:
    """The statement as it is when these parameters are given; None if it has to take the long way each time."""
    compiled: Any = _marked[marked].compile(dialect=_SQLITE, column_keys=list(given))  # type: ignore[attr-defined]
    spreads = compiled.post_compile_params or compiled.literal_execute_params
    return None if spreads else _Ready(compiled)

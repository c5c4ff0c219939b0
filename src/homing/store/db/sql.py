"""What the two databases say differently, said once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from homing.store.db.database import Database, Dialect
from homing.store.db.schema.columns import TextList, UtcDateTime, bounded, storable

T = TypeVar("T")


def dialect_of(connection: Connection) -> Dialect:
    """Which of the two databases this is a connection to."""
    return "sqlite" if connection.dialect.name == "sqlite" else "postgresql"


def insert(dialect: Dialect, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens on a conflict."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def among(dialect: Dialect, of: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Whether the column's value is in the list given as one parameter, however long that is."""
    texts = bindparam(parameter, type_=TextList())
    if dialect == "postgresql":
        return of == any_(texts)
    return of.in_(select(column("value")).select_from(func.json_each(texts).table_valued("value")))


def given_rows(dialect: Dialect, parameter: str, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """A table made of the rows given as one parameter (see `as_rows`)."""
    rows = bindparam(parameter, type_=Text())
    if dialect == "postgresql":
        named = [column(name, kind) for name, kind in columns.items()]
        recordset = func.json_to_recordset(cast(rows, postgresql.JSON)).table_valued(*named)
        return recordset.render_derived(name="given", with_types=True)
    value: ColumnElement[str] = column("value", Text())
    fields = [func.json_extract(value, f"$.{name}", type_=kind).label(name) for name, kind in columns.items()]
    return select(*fields).select_from(func.json_each(rows).table_valued("value")).subquery("given")


def moment(dialect: Dialect, parameter: str) -> ColumnElement[Any]:
    """The store's time, so many seconds after now as the parameter says (see `moments`)."""
    if dialect == "sqlite":
        return bindparam(parameter, type_=UtcDateTime())
    seconds = bindparam(parameter, type_=Float(53))
    return type_coerce(func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds), UtcDateTime())


def moments(connection: Connection, database: Database, **after_s: float) -> dict[str, Any]:
    """The parameters for `moment`, by their names."""
    if database.dialect == "postgresql":
        return dict(after_s)
    now = database.now(connection)
    return {name: now + timedelta(seconds=seconds) for name, seconds in after_s.items()}


def as_rows(rows: Iterable[Mapping[str, str | int | None]]) -> str:
    """The rows as a parameter for `given_rows`."""
    given = [{name: _storable(value) for name, value in row.items()} for row in rows]
    return msgspec.json.encode(given).decode()


def written_moment(moment: datetime) -> str:
    """A moment in a row for `given_rows`."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _storable(value: str | int | None) -> str | int | None:
    """As the columns' own types would have it: one value out of bounds must not fail the statement for all rows."""
    if isinstance(value, str):
        return storable(value)
    return value if value is None else bounded(value)


def chunks(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """The items in order, at most so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))

"""What `store/db/prepared.py` takes from inside SQLAlchemy is there, and does what it relies on.

A newer SQLAlchemy may change these without notice. Then this says which name is gone, before a statement fails.
"""

import sqlite3

import pytest
import sqlalchemy
from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, Table, bindparam, create_engine, event, select
from sqlalchemy.dialects import sqlite

TABLE = Table(
    "things", MetaData(), Column("id", Integer, primary_key=True), Column("at", DateTime), Column("on", Boolean)
)
VERSION = f"SQLAlchemy {sqlalchemy.__version__}"


def compiled() -> object:
    statement = select(TABLE.c.id, TABLE.c.at, TABLE.c.on).where(TABLE.c.id == bindparam("which"))
    return statement.compile(dialect=sqlite.dialect(paramstyle="qmark"), column_keys=["which"])


@pytest.mark.parametrize(
    "name", ["string", "positiontup", "binds", "_result_columns", "post_compile_params", "literal_execute_params"]
)
def test_a_compiled_statement_has(name: str) -> None:
    assert hasattr(compiled(), name), f"{VERSION}: a compiled statement has no {name}; see store/db/prepared.py"


def test_places_of_parameters_lead_to_binds_with_a_key_and_a_type() -> None:
    made = compiled()
    assert made.positiontup == ["which"], VERSION
    bind = made.binds["which"]
    assert (bind.key, bind.required) == ("which", True), VERSION
    assert bind.type._cached_bind_processor(made.dialect) is None, f"{VERSION}: an integer goes in as it is"


def test_columns_say_their_key_and_how_their_values_come_out() -> None:
    columns = compiled()._result_columns
    assert [column.keyname for column in columns] == ["id", "at", "on"], VERSION
    converts = [column.type._cached_result_processor(sqlite.dialect(), None) for column in columns]
    assert converts[0] is None and converts[1] is not None, VERSION
    assert converts[1]("2026-01-31 09:30:00.000000").year == 2026, VERSION
    assert converts[2](1) is True, VERSION


def test_a_connection_says_whether_anybody_listens_and_what_the_driver_is() -> None:
    engine = create_engine("sqlite://")
    assert isinstance(engine._has_events, bool), VERSION  # also true where another test listens to all engines
    event.listen(engine, "before_cursor_execute", lambda *_: None)
    with engine.connect() as connection:
        assert connection._has_events is False, VERSION
        assert connection.engine._has_events is True, VERSION
        assert isinstance(connection.connection.dbapi_connection, sqlite3.Connection), VERSION

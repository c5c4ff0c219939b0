"""Which history of which store a connection leads to."""

import secrets
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, literal_column, select, text

from homing.model.instances.leases import StoreIdentity
from homing.store.db.prepared import prepared
from homing.store.db.schema.tables import store_clock
from homing.store.db.sql import insert

_MAY_ASK = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
_SYSTEM = "(SELECT system_identifier::text FROM pg_control_system())"
# Restored into the same server, it is a table of another number; and whoever restores it may say so.
_COPY = "concat_ws('/', to_regclass('credentials')::oid::text, (SELECT store_id FROM store_clock))"
# Where that is not permitted: the database's own number, which a copy of it elsewhere seldom has.
_DATABASE = "(SELECT 'database ' || oid FROM pg_database WHERE datname = current_database())"
# The timeline that is being written. The control file names that of the last checkpoint, which after a promotion is
# for a while the old one.
_TIMELINE = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


def known_column() -> ColumnElement[str | None]:
    """What any statement on SQLite can tell of the file's identity along with its own answer."""
    return _known_statement().scalar_subquery().label("store")


def kept_in(row: Any) -> StoreIdentity | None:
    """The identity in an answer with that column; None as long as the file has none."""
    return None if row.store is None else StoreIdentity(row.store, 1)


def file_identity(connection: Connection) -> StoreIdentity:
    """The identity of a SQLite file, made if nobody has made it; within a writing operation."""
    return StoreIdentity(store_id(connection), 1)


def may_name_the_system(connection: Connection) -> bool:
    """Whether PostgreSQL tells us its system's number. To be asked once, and passed along."""
    return bool(connection.scalar(text(_MAY_ASK)))


def server_identity(connection: Connection, *, named: bool) -> StoreIdentity:
    """A PostgreSQL server that was promoted, or another one, answers another identity."""
    return told_by(connection.execute(select(*identity_columns(named=named))).one())


def identity_columns(*, named: bool) -> tuple[Any, Any]:
    """What any statement on PostgreSQL can tell of the server's identity along with its own answer."""
    system: ColumnElement[str] = literal_column(f"concat_ws('/', {_SYSTEM if named else _DATABASE}, {_COPY})")
    timeline: ColumnElement[str] = literal_column(_TIMELINE)
    return system.label("system"), timeline.label("timeline")


def told_by(row: Any) -> StoreIdentity:
    """The identity in an answer with those columns."""
    return StoreIdentity(row.system, int(row.timeline, 16))


def store_id(connection: Connection) -> str:
    """The random name of a SQLite file, given to it when somebody first asks."""
    known = connection.scalar(_known_statement())
    if known is not None:
        return str(known)
    row = insert("sqlite", store_clock).values(id=1, store_id=secrets.token_hex(16), boot_id="", offset_us=0)
    return str(connection.scalars(row.returning(store_clock.c.store_id)).one())


@prepared
def _known_statement() -> Select[Any]:
    """The name of a SQLite file, in one row, or in none."""
    return select(store_clock.c.store_id)

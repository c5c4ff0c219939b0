"""Which history of which store a connection leads to."""

import secrets
from typing import Any

from sqlalchemy import Connection, Select, select, text

from homing.model.leases import StoreIdentity
from homing.store.prepared import prepared
from homing.store.schema import store_clock
from homing.store.sql import dialect_of, insert

_MAY_ASK = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
# Where that is not permitted: the database's own number, which a copy of it elsewhere seldom has.
_DATABASE = "SELECT 'database ' || oid FROM pg_database WHERE datname = current_database()"
# The timeline that is being written. The control file names that of the last checkpoint, which after a promotion is
# for a while the old one.
_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


def identity(connection: Connection) -> StoreIdentity:
    """Within a writing operation. A PostgreSQL server that was promoted, or another one, answers another identity."""
    if dialect_of(connection) == "sqlite":
        return StoreIdentity(store_id(connection), 1)
    may_ask = connection.scalar(text(_MAY_ASK))
    statement = f"SELECT ({_SYSTEM if may_ask else _DATABASE}), ({_TIMELINE})"
    system, timeline = connection.execute(text(statement)).one()
    return StoreIdentity(system, int(timeline, 16))


def store_id(connection: Connection) -> str:
    """The random name of a SQLite file, given to it when somebody first asks."""
    known = connection.scalar(_known_statement())
    if known is not None:
        return str(known)
    row = insert("sqlite", store_clock).values(id=1, store_id=secrets.token_hex(16), boot_id="", offset_us=0)
    return str(connection.scalars(row.returning(store_clock.c.store_id)).one())


@prepared
def _known_statement() -> Select[Any]:
    return select(store_clock.c.store_id)

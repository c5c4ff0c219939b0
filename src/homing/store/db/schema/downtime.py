"""The tables of the downtime ledger. They share the schema's metadata."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, false, text

from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words
from homing.store.db.schema.tables import metadata

_LASTS = text("ended_at IS NULL")

# When a session could not send, for one reason at a time. At most one row of a session has no end.
outages = Table(
    "outages",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("began_at", UtcDateTime, primary_key=True),
    Column("account_id", BoundedInteger, nullable=False),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("reason", Words, nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("continues", Boolean, nullable=False, server_default=false()),
    # The trace of the report or the request that it came of; empty where nobody named one.
    Column("trace_id", Words),
    Index("outages_lasting_idx", "session_id", unique=True, sqlite_where=_LASTS, postgresql_where=_LASTS),
    Index("outages_account_idx", "account_id", "began_at"),
    Index("outages_ended_at_idx", "ended_at"),
)

# How many sends of a session failed in the month that begins then.
failed_sends = Table(
    "failed_sends",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("month", UtcDateTime, primary_key=True),
    Column("count", Integer, nullable=False),
)

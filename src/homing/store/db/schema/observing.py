"""The tables of what was seen of observed instances. They share the schema's metadata."""

from sqlalchemy import Column, Index, Integer, Table

from homing.store.db.schema.columns import UtcDateTime, Words
from homing.store.db.schema.tables import metadata

# What would have been done on an observed instance. The session is the empty text where the whole instance is meant.
would_haves = Table(
    "would_haves",
    metadata,
    Column("instance_url", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("session_id", Words, primary_key=True),
    Column("reason", Words, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("times", Integer, nullable=False),
    Index(None, "last_at"),
)

# How the lists of an observed instance agreed with the record, summed over an hour; `strays` are the newest list's.
observations = Table(
    "observations",
    metadata,
    Column("instance_url", Words, primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    Column("lists", Integer, nullable=False),
    Column("lists_failed", Integer, nullable=False),
    Column("recorded", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("strays", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Index(None, "hour"),
)

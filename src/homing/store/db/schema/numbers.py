"""The table of what gateways said of numbers. It shares the schema's metadata."""

from sqlalchemy import Boolean, Column, Index, Table

from homing.store.db.schema.columns import UtcDateTime, Words
from homing.store.db.schema.tables import metadata

# By the session that asked: another one's gateway may know the number under another address.
number_checks = Table(
    "number_checks",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("digits", Words, primary_key=True),
    Column("is_on_whatsapp", Boolean, nullable=False),
    # As one text; empty where the gateway does not say it.
    Column("address", Words, nullable=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at"),
)

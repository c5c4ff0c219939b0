"""The table of where sessions reported before they were connected to us. It shares the schema's metadata."""

from sqlalchemy import Column, Table

from homing.store.db.schema.columns import JsonText, UtcDateTime, Words
from homing.store.db.schema.tables import metadata

# `kept` is what their family needs to put it back; it may hold secrets of others, and is never shown.
webhook_targets = Table(
    "webhook_targets",
    metadata,
    Column("instance_url", Words, primary_key=True),
    Column("session_id", Words, primary_key=True),
    Column("kept", JsonText, nullable=True),
    Column("since", UtcDateTime, nullable=False),
)

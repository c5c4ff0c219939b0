"""The tables of what a linked device has beside its login: its keys, and what people wrote to it.

They share the schema's metadata.
"""

from sqlalchemy import CheckConstraint, Column, Index, Table, text

from homing.store.db.schema.columns import BoundedInteger, SealedBytes, UtcDateTime, Words
from homing.store.db.schema.tables import metadata

# Ratchets, prekeys, devices of others: whatever the engine keeps by a kind and an id. Each write is under a grant.
session_keys = Table(
    "session_keys",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("value", SealedBytes, nullable=False),
    Column("value_key", Words, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "value_key"),
    Index(
        "session_keys_sent_idx",
        "updated_at",
        sqlite_where=text("kind = 'sent'"),
        postgresql_where=text("kind = 'sent'"),
    ),
)

# Messages that were decrypted, kept before WhatsApp hears of it. The body goes when the listener has it; the row stays
# a while, so that the same ciphertext is known when it comes again.
inbox = Table(
    "inbox",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("message_id", Words, primary_key=True),
    # Of what came over the wire; the empty text where the engine tells messages apart by their ids alone.
    Column("digest", Words, primary_key=True),
    Column("epoch", BoundedInteger, nullable=False),
    Column("body", SealedBytes),
    Column("body_key", Words),
    Column("arrived_at", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime),
    Index(
        "inbox_untold_idx",
        "session_id",
        sqlite_where=text("told_at IS NULL"),
        postgresql_where=text("told_at IS NULL"),
    ),
    Index(
        "inbox_told_idx",
        "told_at",
        sqlite_where=text("told_at IS NOT NULL"),
        postgresql_where=text("told_at IS NOT NULL"),
    ),
    CheckConstraint("(body IS NULL) = (told_at IS NOT NULL)", name="body"),
    CheckConstraint("(body IS NULL) = (body_key IS NULL)", name="body_key"),
)

"""The tables of alerts on their way to operators: who receives them, what each was told, what is silenced."""

from sqlalchemy import CheckConstraint, Column, Index, Table, UniqueConstraint

from homing.model.deliveries.receivers import ReceiverKind
from homing.store.db.schema.columns import JsonText, SealedBytes, UtcDateTime, Words
from homing.store.db.schema.tables import _one_of, metadata

receivers = Table(
    "receivers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("kind", Words, nullable=False),
    # A URL, or for e-mail the addresses with commas.
    Column("target", Words, nullable=False),
    Column("options", JsonText, nullable=False),
    # What it takes to speak to it, sealed: a signing secret, a token, a password.
    Column("secret", SealedBytes),
    Column("secret_key", Words),
    Column("created_at", UtcDateTime, nullable=False),
    # Since when telling it fails, and how; empty while it works.
    Column("failing_since", UtcDateTime),
    Column("last_error", Words, nullable=False),
    Column("last_told_at", UtcDateTime),
    UniqueConstraint("name"),
    CheckConstraint("(secret IS NULL) = (secret_key IS NULL)", name="secret"),
    _one_of("kind", ReceiverKind),
)

# Which alerts each receiver believes to stand.
receiver_told = Table(
    "receiver_told",
    metadata,
    Column("receiver_id", Words, primary_key=True),
    Column("alert_id", Words, primary_key=True),
    Column("about", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("id", Words, primary_key=True),
    # What is silenced; an empty word matches all.
    Column("kind", Words, nullable=False),
    Column("about", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("reason", Words, nullable=False),
    Column("created_by", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "until"),
)

"""The tables of the outbox, beside the messages themselves."""

from sqlalchemy import CheckConstraint, Column, Index, Table, text

from homing.model.sends.outbox import BatchState
from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words
from homing.store.db.schema.tables import metadata

_STATES = ", ".join(f"'{state.value}'" for state in BatchState)

# A lane is the messages of one account that wait, and what is remembered of its pace.
outbox_lanes = Table(
    "outbox_lanes",
    metadata,
    Column("account_uuid", Words, primary_key=True),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("last_position", BoundedInteger, nullable=False),
    # When somebody last said go to what was held after a pairing.
    Column("go_at", UtcDateTime),
    Column("pace", JsonText, nullable=False, server_default="{}"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Words, primary_key=True),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("name", Words, nullable=False, server_default=""),
    Column("state", Words, nullable=False),
    Column("reason", Words, nullable=False, server_default=""),
    Column("key", Words),
    Column("fingerprint", Words),
    # Lines that became messages, and lines that could not.
    Column("messages", BoundedInteger, nullable=False, server_default="0"),
    Column("invalid", BoundedInteger, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "workspace_id", "id"),
    Index(
        "batches_key_idx",
        "workspace_id",
        "key",
        unique=True,
        sqlite_where=text("key IS NOT NULL"),
        postgresql_where=text("key IS NOT NULL"),
    ),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
)

# The first lines of a batch that could not be read, by their numbers.
batch_errors = Table(
    "batch_errors",
    metadata,
    Column("batch_id", Words, primary_key=True),
    Column("line", BoundedInteger, primary_key=True, autoincrement=False),
    Column("code", Words, nullable=False),
    Column("detail", Words, nullable=False),
)

# Who does not want to be written to by a workspace.
suppressions = Table(
    "suppressions",
    metadata,
    Column("workspace_id", BoundedInteger, primary_key=True, autoincrement=False),
    Column("chat", Words, primary_key=True),
    Column("reason", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
)

# How fast a workspace's accounts may write; with the empty account, all of them that have none of their own.
pacing = Table(
    "pacing",
    metadata,
    Column("workspace_id", BoundedInteger, primary_key=True, autoincrement=False),
    Column("account_uuid", Words, primary_key=True),
    Column("policy", JsonText, nullable=False),
)

# Whom an account has written to, where the pace of new chats is limited.
known_chats = Table(
    "known_chats",
    metadata,
    Column("account_uuid", Words, primary_key=True),
    Column("chat", Words, primary_key=True),
)

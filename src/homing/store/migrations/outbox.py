"""The outbox's part of revision 0007: what `messages` and `jobs` get, and the tables beside them."""

from typing import Any

from alembic import op
from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, PrimaryKeyConstraint, Table, text

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

_STATES = "state IN ('sending', 'sent', 'failed', 'unknown')"
_STATES_OF_THE_OUTBOX = (
    "state IN ('sending', 'accepted', 'held', 'dispatching', 'sent', 'delivered', 'read', 'failed', 'unknown',"
    " 'expired', 'cancelled')"
)
_BATCH_STATES = "state IN ('receiving', 'running', 'paused', 'cancelled', 'rejected', 'done')"
_IN_A_LANE = "state = 'accepted' AND position IS NOT NULL"
_UNDER_WAY = "state IN ('accepted', 'dispatching', 'unknown') AND position IS NOT NULL"


def upgrade() -> None:
    """Before anything else of this revision: on SQLite the table of messages is made anew, from what it was before."""
    with op.batch_alter_table("messages", copy_from=_messages(_STATES, [])) as messages:
        messages.drop_constraint(op.f("messages_state_check"), type_="check")
        for each in _message_columns():
            messages.add_column(each)
        messages.create_check_constraint(op.f("messages_state_check"), text(_STATES_OF_THE_OUTBOX))
    op.create_index("messages_account_uuid_message_id_idx", "messages", ["account_uuid", "message_id"])
    for name, columns, where in _message_indexes():
        condition = text(where)
        op.create_index(name, "messages", columns, sqlite_where=condition, postgresql_where=condition)
    op.add_column("jobs", Column("share", Words()))
    _outbox_tables().create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    _outbox_tables().drop_all(op.get_bind(), checkfirst=False)
    op.drop_column("jobs", "share")
    for name, _, _ in reversed(_message_indexes()):
        op.drop_index(name, "messages")
    op.drop_index("messages_account_uuid_message_id_idx", "messages")
    op.execute(text("DELETE FROM messages WHERE state NOT IN ('sending', 'sent', 'failed', 'unknown')"))
    with op.batch_alter_table("messages", copy_from=_messages(_STATES_OF_THE_OUTBOX, _message_columns())) as changed:
        changed.drop_constraint(op.f("messages_state_check"), type_="check")
        for each in reversed(_message_columns()):
            changed.drop_column(each.name)
        changed.create_check_constraint(op.f("messages_state_check"), text(_STATES))


def _message_columns() -> list[Column[Any]]:
    return [
        Column("content", JsonText()),
        Column("chat", Words()),
        Column("position", BoundedInteger()),
        Column("due_at", UtcDateTime()),
        Column("expires_at", UtcDateTime()),
        Column("fence", BoundedInteger()),
        Column("interruptions", Integer()),
        Column("unknown_at", UtcDateTime()),
        Column("batch_id", Words()),
    ]


def _message_indexes() -> list[tuple[str, list[str], str]]:
    return [
        ("messages_waiting_idx", ["account_uuid", "due_at", "position"], _IN_A_LANE),
        ("messages_chat_idx", ["account_uuid", "chat", "due_at", "position"], _UNDER_WAY),
        ("messages_expiring_idx", ["account_uuid", "expires_at"], "state = 'accepted'"),
        ("messages_batch_idx", ["batch_id", "state", "account_uuid", "uuid"], "batch_id IS NOT NULL"),
    ]


def _messages(states: str, more: list[Column[Any]]) -> Table:
    return Table(
        "messages",
        MetaData(),
        Column("uuid", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("account_uuid", Words(), nullable=False),
        Column("message_id", Words(), nullable=False),
        Column("recipient_phone", Words(), nullable=False),
        Column("text", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("code", Words()),
        Column("reason", Words(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("instance_url", Words()),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("updated_at", UtcDateTime(), nullable=False),
        Column("phone_as_written", Words()),
        *more,
        PrimaryKeyConstraint("uuid", name="messages_pkey"),
        CheckConstraint("attempts >= 0", name="messages_attempts_check"),
        CheckConstraint(states, name="messages_state_check"),
        Index("messages_workspace_id_uuid_idx", "workspace_id", "uuid"),
        Index("messages_account_uuid_state_idx", "account_uuid", "state"),
    )


def _outbox_tables() -> MetaData:
    keyed = text("key IS NOT NULL")
    metadata = MetaData(
        naming_convention={"pk": "%(table_name)s_pkey", "ck": "%(table_name)s_%(constraint_name)s_check"}
    )
    Table(
        "outbox_lanes",
        metadata,
        Column("account_uuid", Words(), primary_key=True, nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("last_position", BoundedInteger(), nullable=False),
        Column("go_at", UtcDateTime()),
        Column("pace", JsonText(), nullable=False, server_default="{}"),
    )
    Table(
        "batches",
        metadata,
        Column("id", Words(), primary_key=True, nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("name", Words(), nullable=False, server_default=""),
        Column("state", Words(), nullable=False),
        Column("reason", Words(), nullable=False, server_default=""),
        Column("key", Words()),
        Column("fingerprint", Words()),
        Column("messages", BoundedInteger(), nullable=False, server_default="0"),
        Column("invalid", BoundedInteger(), nullable=False, server_default="0"),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("updated_at", UtcDateTime(), nullable=False),
        CheckConstraint(_BATCH_STATES, name="state"),
        Index("batches_workspace_id_id_idx", "workspace_id", "id"),
        Index("batches_key_idx", "workspace_id", "key", unique=True, sqlite_where=keyed, postgresql_where=keyed),
    )
    Table(
        "batch_errors",
        metadata,
        Column("batch_id", Words(), primary_key=True, nullable=False),
        Column("line", BoundedInteger(), primary_key=True, autoincrement=False, nullable=False),
        Column("code", Words(), nullable=False),
        Column("detail", Words(), nullable=False),
    )
    Table(
        "suppressions",
        metadata,
        Column("workspace_id", BoundedInteger(), primary_key=True, autoincrement=False, nullable=False),
        Column("chat", Words(), primary_key=True, nullable=False),
        Column("reason", Words(), nullable=False, server_default=""),
        Column("created_at", UtcDateTime(), nullable=False),
    )
    Table(
        "pacing",
        metadata,
        Column("workspace_id", BoundedInteger(), primary_key=True, autoincrement=False, nullable=False),
        Column("account_uuid", Words(), primary_key=True, nullable=False),
        Column("policy", JsonText(), nullable=False),
    )
    Table(
        "known_chats",
        metadata,
        Column("account_uuid", Words(), primary_key=True, nullable=False),
        Column("chat", Words(), primary_key=True, nullable=False),
    )
    return metadata

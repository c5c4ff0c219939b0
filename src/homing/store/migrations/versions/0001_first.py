"""The first schema: workspaces, their accounts and contacts, placements and moves, messages and keyed sends."""

from alembic import op
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    UniqueConstraint,
)

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

revision = "0001"
down_revision = None


def upgrade() -> None:
    _workspaces()
    _api_keys()
    _accounts()
    _contacts()
    _instances()
    _sessions()
    _moves()
    _messages()
    _idempotency_keys()


def downgrade() -> None:
    for table in (
        "idempotency_keys",
        "messages",
        "moves",
        "sessions",
        "instances",
        "contacts",
        "accounts",
        "api_keys",
        "workspaces",
    ):
        op.drop_table(table)


def _workspaces() -> None:
    op.create_table(
        "workspaces",
        Column("id", BoundedInteger(), autoincrement=False, nullable=False),
        Column("name", Words(), server_default="", nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="workspaces_pkey"),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        Column("id", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=True),
        Column("scope", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("secret_hash", Words(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("revoked_at", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("id", name="api_keys_pkey"),
        ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="api_keys_workspace_id_fkey"),
        CheckConstraint("scope IN ('admin', 'send', 'read')", name=op.f("api_keys_scope_check")),
    )


def _accounts() -> None:
    op.create_table(
        "accounts",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("uuid", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("phone", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("takeover", Words(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="accounts_pkey"),
        UniqueConstraint("uuid", name="accounts_uuid_key"),
        UniqueConstraint("workspace_id", "phone", name="accounts_workspace_id_phone_key"),
        ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="accounts_workspace_id_fkey"),
        CheckConstraint("takeover IN ('never', 'manual', 'auto')", name=op.f("accounts_takeover_check")),
        sqlite_autoincrement=True,
    )


def _contacts() -> None:
    op.create_table(
        "contacts",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("uuid", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("phone", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="contacts_pkey"),
        UniqueConstraint("uuid", name="contacts_uuid_key"),
        UniqueConstraint("workspace_id", "phone", name="contacts_workspace_id_phone_key"),
        ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="contacts_workspace_id_fkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("contacts_workspace_id_id_idx", "contacts", ["workspace_id", "id"])


def _instances() -> None:
    op.create_table(
        "instances",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("url", Words(), nullable=False),
        Column("driver", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("capacity", Integer(), nullable=True),
        Column("labels", JsonText(), nullable=False),
        PrimaryKeyConstraint("id", name="instances_pkey"),
        UniqueConstraint("url", name="instances_url_key"),
        CheckConstraint("state IN ('active', 'draining')", name=op.f("instances_state_check")),
        sqlite_autoincrement=True,
    )


def _sessions() -> None:
    statuses = "'connected', 'starting', 'pairing', 'disconnected', 'logged_out', 'failed', 'stopped', 'unknown'"
    op.create_table(
        "sessions",
        Column("session_id", Words(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=True),
        Column("instance_url", Words(), nullable=True),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("status", Words(), nullable=False),
        Column("last_verified_at", UtcDateTime(), nullable=True),
        Column("updated_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("session_id", name="sessions_pkey"),
        UniqueConstraint("account_id", name="sessions_account_id_key"),
        ForeignKeyConstraint(["account_id"], ["accounts.id"], name="sessions_account_id_fkey", ondelete="SET NULL"),
        CheckConstraint("epoch >= 0", name=op.f("sessions_epoch_check")),
        CheckConstraint("state IN ('held', 'moving')", name=op.f("sessions_state_check")),
        CheckConstraint(f"status IN ({statuses})", name=op.f("sessions_status_check")),
    )
    op.create_index("sessions_instance_url_idx", "sessions", ["instance_url"])


def _moves() -> None:
    kinds = "'placement', 'rediscovery', 'rehome', 'migration'"
    op.create_table(
        "moves",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("kind", Words(), nullable=False),
        Column("session_id", Words(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("from_url", Words(), nullable=True),
        Column("to_url", Words(), nullable=True),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("at", UtcDateTime(), nullable=False),
        Column("duration_ms", Integer(), nullable=True),
        Column("run_id", Words(), nullable=True),
        PrimaryKeyConstraint("id", name="moves_pkey"),
        CheckConstraint("epoch >= 0", name=op.f("moves_epoch_check")),
        CheckConstraint(f"kind IN ({kinds})", name=op.f("moves_kind_check")),
        sqlite_autoincrement=True,
    )
    op.create_index("moves_session_id_id_idx", "moves", ["session_id", "id"])
    op.create_index("moves_workspace_id_id_idx", "moves", ["workspace_id", "id"])


def _messages() -> None:
    op.create_table(
        "messages",
        Column("uuid", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("account_uuid", Words(), nullable=False),
        Column("message_id", Words(), nullable=False),
        Column("recipient_phone", Words(), nullable=False),
        Column("text", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("code", Words(), nullable=True),
        Column("reason", Words(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("instance_url", Words(), nullable=True),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("updated_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("uuid", name="messages_pkey"),
        CheckConstraint("attempts >= 0", name=op.f("messages_attempts_check")),
        CheckConstraint("state IN ('sending', 'sent', 'failed', 'unknown')", name=op.f("messages_state_check")),
    )
    op.create_index("messages_workspace_id_uuid_idx", "messages", ["workspace_id", "uuid"])


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        Column("workspace_id", BoundedInteger(), autoincrement=False, nullable=False),
        Column("key", Words(), nullable=False),
        Column("fingerprint", Words(), nullable=False),
        Column("message_uuid", Words(), nullable=False),
        Column("owner", Words(), nullable=False),
        Column("lease_until", UtcDateTime(), nullable=False),
        Column("expires_at", UtcDateTime(), nullable=False),
        Column("answer_status", Integer(), nullable=True),
        Column("answer_body", JsonText(), nullable=True),
        PrimaryKeyConstraint("workspace_id", "key", name="idempotency_keys_pkey"),
        CheckConstraint("(answer_status IS NULL) = (answer_body IS NULL)", name=op.f("idempotency_keys_answer_check")),
    )
    op.create_index("idempotency_keys_expires_at_idx", "idempotency_keys", ["expires_at"])

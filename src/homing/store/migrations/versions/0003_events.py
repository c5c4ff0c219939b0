"""What instances report: events, the signatures they came with, and a way to find unknown sends by their account."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, UniqueConstraint

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _events()
    _webhook_signatures()
    op.create_index("messages_account_uuid_state_idx", "messages", ["account_uuid", "state"])


def downgrade() -> None:
    op.drop_index("messages_account_uuid_state_idx", "messages")
    op.drop_table("webhook_signatures")
    op.drop_table("events")


def _events() -> None:
    op.create_table(
        "events",
        Column("sequence", BoundedInteger(), autoincrement=True, nullable=False),
        Column("id", Words(), nullable=False),
        Column("received_at", UtcDateTime(), nullable=False),
        Column("occurred_at", UtcDateTime(), nullable=True),
        Column("kind", Words(), nullable=False),
        Column("session_id", Words(), nullable=True),
        Column("account_uuid", Words(), nullable=True),
        Column("workspace_id", BoundedInteger(), nullable=True),
        Column("instance_url", Words(), nullable=True),
        Column("payload", JsonText(), nullable=False),
        Column("meaning", Words(), nullable=True),
        Column("meaning_until", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("sequence", name="events_pkey"),
        UniqueConstraint("id", name="events_id_key"),
        UniqueConstraint("meaning", name="events_meaning_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_workspace_id_sequence_idx", "events", ["workspace_id", "sequence"])
    op.create_index("events_session_id_sequence_idx", "events", ["session_id", "sequence"])
    op.create_index("events_account_uuid_sequence_idx", "events", ["account_uuid", "sequence"])


def _webhook_signatures() -> None:
    op.create_table(
        "webhook_signatures",
        Column("signature", Words(), nullable=False),
        Column("event_id", Words(), nullable=False),
        Column("expires_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("signature", name="webhook_signatures_pkey"),
    )
    op.create_index("webhook_signatures_expires_at_idx", "webhook_signatures", ["expires_at"])

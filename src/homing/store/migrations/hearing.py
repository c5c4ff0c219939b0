"""What is heard of sessions, and links by which phones' owners pair them: the part of a migration."""

from alembic import op
from sqlalchemy import Boolean, CheckConstraint, Column, Float, ForeignKeyConstraint, Integer, PrimaryKeyConstraint

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

_POLICIES = ("accounts", "workspaces")


def upgrade() -> None:
    """What is heard of sessions, and how they stand by that; links by which a phone's owner pairs it."""
    for table in _POLICIES:
        op.add_column(table, Column("deaf_policy", Words(), nullable=True))
    op.create_table(
        "hearing",
        Column("session_id", Words(), nullable=False),
        Column("last_at", UtcDateTime(), nullable=True),
        Column("acknowledged_at", UtcDateTime(), nullable=True),
        Column("unacknowledged", JsonText(), nullable=False, server_default="{}"),
        Column("unsettled", Integer(), nullable=False, server_default="0"),
        Column("settled", Integer(), nullable=False, server_default="0"),
        Column("acknowledged", Integer(), nullable=False, server_default="0"),
        Column("looked", JsonText(), nullable=False, server_default="{}"),
        Column("hearing", Words(), nullable=False, server_default="hearing"),
        Column("reason", Words(), nullable=False, server_default=""),
        Column("since_at", UtcDateTime(), nullable=True),
        Column("against", Float(53), nullable=False, server_default="0"),
        Column("shows", JsonText(), nullable=False, server_default="{}"),
        Column("tried", JsonText(), nullable=False, server_default="{}"),
        Column("version", BoundedInteger(), nullable=False, server_default="0"),
        PrimaryKeyConstraint("session_id", name="hearing_pkey"),
        CheckConstraint("hearing IN ('hearing', 'doubtful', 'deaf')", name=op.f("hearing_hearing_check")),
    )
    op.create_table(
        "heard_hours",
        Column("session_id", Words(), nullable=False),
        Column("hour", BoundedInteger(), nullable=False, autoincrement=False),
        Column("came", Integer(), nullable=False),
        Column("longest_gap_s", Float(53), nullable=False),
        Column("void", Boolean(), nullable=False),
        PrimaryKeyConstraint("session_id", "hour", name="heard_hours_pkey"),
    )
    op.create_table(
        "listening",
        Column("id", Integer(), nullable=False, autoincrement=False),
        Column("since_at", UtcDateTime(), nullable=False),
        Column("until_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="listening_pkey"),
    )
    op.create_table(
        "pairing_links",
        Column("secret_hash", Words(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("expires_at", UtcDateTime(), nullable=False),
        Column("opened_at", UtcDateTime(), nullable=True),
        Column("ended_at", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("secret_hash", name="pairing_links_pkey"),
        ForeignKeyConstraint(["account_id"], ["accounts.id"], name="pairing_links_account_id_fkey", ondelete="CASCADE"),
    )
    op.create_index("pairing_links_account_id_idx", "pairing_links", ["account_id"])


def downgrade() -> None:
    for table in ("pairing_links", "listening", "heard_hours", "hearing"):
        op.drop_table(table)
    for table in _POLICIES:
        op.drop_column(table, "deaf_policy")

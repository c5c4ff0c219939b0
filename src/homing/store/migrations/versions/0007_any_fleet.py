"""Fleets that exist already, messages that are accepted before they are sent, events that reach customers, sessions
that are connected and deaf."""

from typing import Any

from alembic import op
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    text,
)

from homing.store.db.columns import BoundedInteger, JsonText, UtcDateTime, Words
from homing.store.migrations import outbox
from homing.store.migrations.customers_and_receivers import (
    create_deliveries,
    create_receivers,
    drop_deliveries,
    drop_receivers,
)

revision = "0007"
down_revision = "0006"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""


def upgrade() -> None:
    outbox.upgrade()
    for table, columns in _more().items():
        for column in columns:
            op.add_column(table, column)
    _adoption()
    _hearing()
    create_deliveries()
    create_receivers()


def downgrade() -> None:
    for table in ("hearing", "heard_hours", "listening", "pairing_links"):
        op.drop_table(table)
    drop_receivers()
    drop_deliveries()
    op.drop_table("would_haves")
    op.drop_table("observations")
    op.drop_index("sessions_native_idx", "sessions")
    for table, columns in _more().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)
    outbox.downgrade()


def _more() -> dict[str, list[Column[Any]]]:
    return {
        "accounts": [Column("deaf_policy", Words(), nullable=True)],
        "workspaces": [Column("deaf_policy", Words(), nullable=True)],
        "sessions": [Column("native_id", Words(), nullable=True)],
        "instances": [Column("sealed_key", Words(), nullable=True), Column("mode_since", UtcDateTime(), nullable=True)],
    }


def _adoption() -> None:
    """Gateways' own names for sessions; what was seen of observed instances, and what would have been done there."""
    where = text("native_id IS NOT NULL")
    op.create_index("sessions_native_idx", "sessions", ["native_id"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "would_haves",
        Column("instance_url", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("session_id", Words(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("first_at", UtcDateTime(), nullable=False),
        Column("last_at", UtcDateTime(), nullable=False),
        Column("times", Integer(), nullable=False),
        PrimaryKeyConstraint("instance_url", "kind", "session_id", name="would_haves_pkey"),
    )
    op.create_index("would_haves_last_at_idx", "would_haves", ["last_at"])
    op.create_table(
        "observations",
        Column("instance_url", Words(), nullable=False),
        Column("hour", UtcDateTime(), nullable=False),
        Column("lists", Integer(), nullable=False),
        Column("lists_failed", Integer(), nullable=False),
        Column("recorded", Integer(), nullable=False),
        Column("seen", Integer(), nullable=False),
        Column("strays", Integer(), nullable=False),
        Column("last_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("instance_url", "hour", name="observations_pkey"),
    )
    op.create_index("observations_hour_idx", "observations", ["hour"])


def _hearing() -> None:
    """What is heard of sessions, and how they stand by that; links by which a phone's owner pairs it."""
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

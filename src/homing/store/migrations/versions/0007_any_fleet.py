"""Fleets that exist already, messages that are accepted before they are sent, events that reach customers, sessions
that are connected and deaf."""

from typing import Any

from alembic import op
from sqlalchemy import Boolean, Column, Integer, PrimaryKeyConstraint, false, text

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words
from homing.store.migrations import hearing, outbox
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
    hearing.upgrade()
    for table, columns in _more().items():
        for column in columns:
            op.add_column(table, column)
    _adoption()
    _downtime()
    _reports()
    create_deliveries()
    create_receivers()


def downgrade() -> None:
    drop_receivers()
    drop_deliveries()
    op.drop_table("failed_sends")
    op.drop_table("outages")
    op.drop_table("webhook_targets")
    op.drop_table("would_haves")
    op.drop_table("observations")
    op.drop_index("sessions_native_idx", "sessions")
    for table, columns in _more().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)
    hearing.downgrade()
    outbox.downgrade()


def _more() -> dict[str, list[Column[Any]]]:
    return {
        "sessions": [Column("native_id", Words(), nullable=True)],
        "instances": [Column("sealed_key", Words(), nullable=True), Column("mode_since", UtcDateTime(), nullable=True)],
    }


def _downtime() -> None:
    """When sessions could not send, and how many sends of theirs failed in each month."""
    op.create_table(
        "outages",
        Column("session_id", Words(), nullable=False),
        Column("began_at", UtcDateTime(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("ended_at", UtcDateTime(), nullable=True),
        Column("continues", Boolean(), nullable=False, server_default=false()),
        PrimaryKeyConstraint("session_id", "began_at", name="outages_pkey"),
    )
    lasts = text("ended_at IS NULL")
    op.create_index(
        "outages_lasting_idx", "outages", ["session_id"], unique=True, sqlite_where=lasts, postgresql_where=lasts
    )
    op.create_index("outages_account_idx", "outages", ["account_id", "began_at"])
    op.create_index("outages_ended_at_idx", "outages", ["ended_at"])
    op.create_table(
        "failed_sends",
        Column("session_id", Words(), nullable=False),
        Column("month", UtcDateTime(), nullable=False),
        Column("count", Integer(), nullable=False),
        PrimaryKeyConstraint("session_id", "month", name="failed_sends_pkey"),
    )


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


def _reports() -> None:
    """Where sessions reported before they were connected to us."""
    op.create_table(
        "webhook_targets",
        Column("instance_url", Words(), nullable=False),
        Column("session_id", Words(), nullable=False),
        Column("kept", JsonText(), nullable=True),
        Column("since", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("instance_url", "session_id", name="webhook_targets_pkey"),
    )

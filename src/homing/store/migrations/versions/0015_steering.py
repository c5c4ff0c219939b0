"""Whether the fleet looks after itself, plans of moves, and which trace an outage belongs to."""

from alembic import op
from sqlalchemy import Boolean, CheckConstraint, Column, Integer, PrimaryKeyConstraint

from homing.store.db.schema.columns import JsonText, UtcDateTime, Words

revision = "0015"
down_revision = "0013"
serves_from = "0004"


def upgrade() -> None:
    op.add_column("outages", Column("trace_id", Words(), nullable=True))
    op.create_table(
        "automation",
        Column("id", Integer(), autoincrement=False, nullable=False),
        Column("is_on", Boolean(), nullable=False),
        Column("actor", Words(), nullable=False),
        Column("since", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="automation_pkey"),
    )
    op.create_table(
        "plans",
        Column("id", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("instance_url", Words(), nullable=True),
        Column("budget", Integer(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("actor", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("steps", JsonText(), nullable=False),
        Column("staying", JsonText(), nullable=False),
        Column("begun", JsonText(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("started_at", UtcDateTime(), nullable=True),
        Column("ended_at", UtcDateTime(), nullable=True),
        CheckConstraint("kind IN ('rebalance', 'empty')", name=op.f("plans_kind_check")),
        CheckConstraint("state IN ('draft', 'running', 'stopped', 'done')", name=op.f("plans_state_check")),
        PrimaryKeyConstraint("id", name="plans_pkey"),
    )
    op.create_index("plans_created_at_idx", "plans", ["created_at"])


def downgrade() -> None:
    op.drop_table("plans")
    op.drop_table("automation")
    op.drop_column("outages", "trace_id")

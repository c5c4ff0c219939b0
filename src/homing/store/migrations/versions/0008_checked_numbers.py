"""What gateways said of numbers is remembered by all gateways of a fleet, and over their restarts."""

from alembic import op
from sqlalchemy import Boolean, Column, PrimaryKeyConstraint

from homing.store.db.schema.columns import UtcDateTime, Words

revision = "0008"
down_revision = "0007"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""


def upgrade() -> None:
    op.create_table(
        "number_checks",
        Column("session_id", Words(), nullable=False),
        Column("digits", Words(), nullable=False),
        Column("is_on_whatsapp", Boolean(), nullable=False),
        Column("address", Words(), nullable=True),
        Column("expires_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("session_id", "digits", name="number_checks_pkey"),
    )
    op.create_index("number_checks_expires_at_idx", "number_checks", ["expires_at"])


def downgrade() -> None:
    op.drop_table("number_checks")

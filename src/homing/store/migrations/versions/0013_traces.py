"""Which trace a message, a move and an event belong to; when the gateway that an alert is about last said so."""

from alembic import op
from sqlalchemy import Column

from homing.store.db.schema.columns import UtcDateTime, Words

revision = "0013"
down_revision = "0012"
serves_from = "0004"

_TRACED = ("messages", "moves", "events")


def upgrade() -> None:
    for table in _TRACED:
        op.add_column(table, Column("trace_id", Words(), nullable=True))
    op.add_column("alerts", Column("affirmed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("alerts", "affirmed_at")
    for table in reversed(_TRACED):
        op.drop_column(table, "trace_id")

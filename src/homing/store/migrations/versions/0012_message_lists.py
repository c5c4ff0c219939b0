"""Messages are listed by their state, and by their account, whatever their number."""

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
serves_from = "0004"


def upgrade() -> None:
    op.create_index("messages_account_uuid_uuid_idx", "messages", ["account_uuid", "uuid"])
    where = text("state NOT IN ('sent', 'delivered', 'read')")
    op.create_index("messages_state_idx", "messages", ["state", "uuid"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("messages_state_idx", "messages")
    op.drop_index("messages_account_uuid_uuid_idx", "messages")

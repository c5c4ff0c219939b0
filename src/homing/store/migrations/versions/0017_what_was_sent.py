"""What engines keep of what they sent is found by its age."""

from alembic import op
from sqlalchemy import text

revision = "0017"
down_revision = "0016"
serves_from = "0004"


def upgrade() -> None:
    sent = text("kind = 'sent'")
    op.create_index("session_keys_sent_idx", "session_keys", ["updated_at"], sqlite_where=sent, postgresql_where=sent)


def downgrade() -> None:
    op.drop_index("session_keys_sent_idx", "session_keys")

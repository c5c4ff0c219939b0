"""Who is signed in to the page."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, PrimaryKeyConstraint

from homing.store.columns import UtcDateTime, Words

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _logins()


def downgrade() -> None:
    op.drop_table("logins")


def _logins() -> None:
    op.create_table(
        "logins",
        Column("secret_hash", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("key_id", Words(), nullable=False),
        Column("expires_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("secret_hash", name=op.f("logins_pkey")),
        ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("logins_key_id_fkey")),
        CheckConstraint("kind IN ('cookie', 'code')", name=op.f("logins_kind_check")),
    )
    op.create_index("logins_expires_at_idx", "logins", ["expires_at"])

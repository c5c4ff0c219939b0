"""What a linked device has beside its login: its keys, and what people wrote to it, sealed in the vault."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, text

from homing.store.db.schema.columns import BoundedInteger, SealedBytes, UtcDateTime, Words

revision = "0016"
down_revision = "0015"
serves_from = "0004"


def upgrade() -> None:
    op.create_table(
        "session_keys",
        Column("session_id", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("id", Words(), nullable=False),
        Column("value", SealedBytes(), nullable=False),
        Column("value_key", Words(), nullable=False),
        Column("updated_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("session_id", "kind", "id", name="session_keys_pkey"),
    )
    op.create_index("session_keys_value_key_idx", "session_keys", ["value_key"])
    op.create_table(
        "inbox",
        Column("session_id", Words(), nullable=False),
        Column("message_id", Words(), nullable=False),
        Column("digest", Words(), nullable=False),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("body", SealedBytes(), nullable=True),
        Column("body_key", Words(), nullable=True),
        Column("arrived_at", UtcDateTime(), nullable=False),
        Column("told_at", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("session_id", "message_id", "digest", name="inbox_pkey"),
        CheckConstraint("(body IS NULL) = (told_at IS NOT NULL)", name=op.f("inbox_body_check")),
        CheckConstraint("(body IS NULL) = (body_key IS NULL)", name=op.f("inbox_body_key_check")),
    )
    untold, told = text("told_at IS NULL"), text("told_at IS NOT NULL")
    op.create_index("inbox_untold_idx", "inbox", ["session_id"], sqlite_where=untold, postgresql_where=untold)
    op.create_index("inbox_told_idx", "inbox", ["told_at"], sqlite_where=told, postgresql_where=told)


def downgrade() -> None:
    op.drop_table("inbox")
    op.drop_table("session_keys")

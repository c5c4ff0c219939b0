"""For fleets that are upgraded while they run: which releases may still work on this schema. Who is signed in to the
page."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint

from homing.store.db.columns import UtcDateTime, Words

revision = "0006"
down_revision = "0005"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""


def upgrade() -> None:
    _schema_version()
    _logins()


def downgrade() -> None:
    op.drop_table("logins")
    op.drop_table("schema_version")


def _schema_version() -> None:
    op.create_table(
        "schema_version",
        Column("id", Integer(), autoincrement=False, nullable=False),
        Column("revision", Words(), nullable=False),
        Column("serves_from", Words(), nullable=False),
        PrimaryKeyConstraint("id", name="schema_version_pkey"),
        CheckConstraint("id = 1", name=op.f("schema_version_id_check")),
    )


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

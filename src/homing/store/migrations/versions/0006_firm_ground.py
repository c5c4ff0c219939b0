"""For fleets that are upgraded while they run: which releases may still work on this schema. Own keys of instances."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, Integer, PrimaryKeyConstraint

from homing.store.db.columns import Words

revision = "0006"
down_revision = "0005"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""


def upgrade() -> None:
    _schema_version()
    op.add_column("instances", Column("key_salt", Words()))


def downgrade() -> None:
    op.drop_column("instances", "key_salt")
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

"""Exit proxies of accounts, the history of what was tried with deaf sessions, instances that are started anew."""

from alembic import op
from sqlalchemy import Boolean, CheckConstraint, Column, Integer, PrimaryKeyConstraint, false, text

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

revision = "0011"
down_revision = "0008"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""

_PROXY = ("sealed_proxy", "proxy_shown", "proxy_name")


def upgrade() -> None:
    for name in _PROXY:
        op.add_column("accounts", Column(name, Words(), nullable=True))
    op.add_column("hearing", Column("probed", JsonText(), nullable=True))
    op.create_table(
        "rungs",
        Column("session_id", Words(), nullable=False),
        Column("began_at", UtcDateTime(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("instance_url", Words(), nullable=False),
        Column("rung", Words(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("ended_at", UtcDateTime(), nullable=True),
        Column("result", Words(), nullable=False, server_default=""),
        PrimaryKeyConstraint("session_id", "began_at", name="rungs_pkey"),
    )
    op.create_index("rungs_began_at_idx", "rungs", ["began_at"])
    op.create_index("rungs_account_id_began_at_idx", "rungs", ["account_id", "began_at"])
    _recycles()


def downgrade() -> None:
    op.drop_table("recycles")
    op.drop_table("rungs")
    op.drop_column("hearing", "probed")
    for name in reversed(_PROXY):
        op.drop_column("accounts", name)


def _recycles() -> None:
    op.create_table(
        "recycles",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("instance_url", Words(), nullable=False),
        Column("asked_at", UtcDateTime(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("with_gap", Boolean(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("incarnation", Words(), nullable=True),
        Column("told_at", UtcDateTime(), nullable=True),
        Column("was_away", Boolean(), nullable=False, server_default=false()),
        Column("stayed", Integer(), nullable=False, server_default="0"),
        Column("ended_at", UtcDateTime(), nullable=True),
        Column("result", Words(), nullable=False, server_default=""),
        PrimaryKeyConstraint("id", name="recycles_pkey"),
        CheckConstraint(
            "state IN ('asked', 'emptying', 'waiting', 'done', 'failed')", name=op.f("recycles_state_check")
        ),
        sqlite_autoincrement=True,
    )
    is_open = text("ended_at IS NULL")
    op.create_index(
        "recycles_open_idx", "recycles", ["instance_url"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_index("recycles_asked_at_idx", "recycles", ["asked_at"])

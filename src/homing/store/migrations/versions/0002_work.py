"""Work that outlives its gateway: jobs, and the schedules."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, Integer, PrimaryKeyConstraint, text

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

revision = "0002"
down_revision = "0001"

_HEADS = "state IN ('ready', 'running')"
_UNFINISHED = "state IN ('queued', 'ready', 'running')"


def upgrade() -> None:
    _jobs()
    _schedules()


def downgrade() -> None:
    op.drop_table("schedules")
    op.drop_table("jobs")


def _jobs() -> None:
    states = "'queued', 'ready', 'running', 'done', 'dead', 'cancelled'"
    op.create_table(
        "jobs",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("kind", Words(), nullable=False),
        Column("key", Words(), nullable=True),
        Column("dedup", Words(), nullable=True),
        Column("payload", JsonText(), nullable=False),
        Column("priority", Integer(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("due_at", UtcDateTime(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("fence", BoundedInteger(), nullable=False),
        Column("owner", Words(), nullable=True),
        Column("reason", Words(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("finished_at", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("id", name="jobs_pkey"),
        CheckConstraint("attempts >= 0", name=op.f("jobs_attempts_check")),
        CheckConstraint("fence >= 0", name=op.f("jobs_fence_check")),
        CheckConstraint("(owner IS NULL) = (state <> 'running')", name=op.f("jobs_owner_check")),
        CheckConstraint(f"state IN ({states})", name=op.f("jobs_state_check")),
        sqlite_autoincrement=True,
    )
    _index("jobs_claim_idx", "kind", "priority", "due_at", "id", where=_HEADS)
    _index("jobs_head_idx", "key", where=f"{_HEADS} AND key IS NOT NULL", unique=True)
    _index("jobs_queued_idx", "key", "id", where="state = 'queued'")
    _index("jobs_dedup_idx", "kind", "dedup", where=f"{_UNFINISHED} AND dedup IS NOT NULL", unique=True)
    _index("jobs_finished_idx", "state", "finished_at", where="finished_at IS NOT NULL")


def _index(name: str, *columns: str, where: str, unique: bool = False) -> None:
    condition = text(where)
    op.create_index(name, "jobs", list(columns), unique=unique, sqlite_where=condition, postgresql_where=condition)


def _schedules() -> None:
    op.create_table(
        "schedules",
        Column("name", Words(), nullable=False),
        Column("expression", Words(), nullable=False),
        Column("last_tick_at", UtcDateTime(), nullable=False),
        Column("started_at", UtcDateTime(), nullable=True),
        Column("finished_at", UtcDateTime(), nullable=True),
        Column("result", Words(), nullable=False),
        Column("error", Words(), nullable=False),
        Column("holder", Words(), nullable=True),
        Column("lease_until", UtcDateTime(), nullable=True),
        Column("fence", BoundedInteger(), nullable=False),
        Column("runs", BoundedInteger(), nullable=False),
        Column("failures", BoundedInteger(), nullable=False),
        PrimaryKeyConstraint("name", name="schedules_pkey"),
        CheckConstraint("fence >= 0", name=op.f("schedules_fence_check")),
        CheckConstraint("(holder IS NULL) = (lease_until IS NULL)", name=op.f("schedules_holder_check")),
    )

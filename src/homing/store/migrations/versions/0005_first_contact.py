"""For fleets that others run: alerts that stand, what may be done with an instance, where its logins lie, and when a
session last showed that its phone is linked or is not."""

from contextlib import AbstractContextManager
from typing import Any

from alembic import op
from alembic.operations import BatchOperations
from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

from homing.store.columns import JsonText, Number, UtcDateTime, Words

revision = "0005"
down_revision = "0004"

_MODES = "mode IN ('observe', 'route')"


def upgrade() -> None:
    _alerts()
    with _instances_as_before() as instances:
        instances.add_column(Column("mode", Words(), server_default="route", nullable=False))
        instances.add_column(Column("storage", Words(), nullable=True))
        instances.add_column(Column("exited_at", UtcDateTime(), nullable=True))
        instances.create_check_constraint(op.f("instances_mode_check"), text(_MODES))
    for column in (*_linking(), *_offered()):
        op.add_column("sessions", column)
    op.execute("UPDATE sessions SET ready_at = last_verified_at WHERE status = 'connected'")


def downgrade() -> None:
    for column in reversed([*_linking(), *_offered()]):
        op.drop_column("sessions", column.name)
    with _instances_as_after() as instances:
        instances.drop_constraint(op.f("instances_mode_check"), type_="check")
        instances.drop_column("exited_at")
        instances.drop_column("storage")
        instances.drop_column("mode")
    op.drop_table("alerts")


def _instances_as_before() -> AbstractContextManager[BatchOperations]:
    """SQLite cannot add a check in place: there the table is made anew and its rows are copied."""
    return op.batch_alter_table("instances", copy_from=_instances(), table_kwargs={"sqlite_autoincrement": True})


def _instances_as_after() -> AbstractContextManager[BatchOperations]:
    table = _instances(
        Column("mode", Words(), server_default="route", nullable=False),
        Column("storage", Words(), nullable=True),
        Column("exited_at", UtcDateTime(), nullable=True),
        CheckConstraint(_MODES, name="instances_mode_check"),
    )
    return op.batch_alter_table("instances", copy_from=table, table_kwargs={"sqlite_autoincrement": True})


def _instances(*more: SchemaItem) -> Table:
    return Table(
        "instances",
        MetaData(),
        Column("id", Number(), autoincrement=True, nullable=False),
        Column("url", Words(), nullable=False),
        Column("driver", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("capacity", Integer(), nullable=True),
        Column("labels", JsonText(), nullable=False),
        Column("memory_limit_mb", Float(53), nullable=True),
        Column("sends_limit_per_s", Float(53), nullable=True),
        PrimaryKeyConstraint("id", name="instances_pkey"),
        UniqueConstraint("url", name="instances_url_key"),
        CheckConstraint("state IN ('active', 'draining')", name="instances_state_check"),
        *more,
        sqlite_autoincrement=True,
    )


def _linking() -> list[Column[Any]]:
    return [
        Column("code_reported_at", UtcDateTime(), nullable=True),
        Column("ready_at", UtcDateTime(), nullable=True),
        Column("logout_reported_at", UtcDateTime(), nullable=True),
        Column("started_at", UtcDateTime(), nullable=True),
        Column("started_on", Words(), nullable=True),
        Column("code_renewed_at", UtcDateTime(), nullable=True),
    ]


def _offered() -> list[Column[Any]]:
    return [
        Column("offered_to", Words(), nullable=True),
        Column("offered_at", UtcDateTime(), nullable=True),
        Column("offered_place", Integer(), nullable=True),
    ]


def _alerts() -> None:
    op.create_table(
        "alerts",
        Column("about", Words(), nullable=False),
        Column("subject", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("raised_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("about", "subject", "kind", name="alerts_pkey"),
    )
    op.create_index("alerts_raised_at_idx", "alerts", ["raised_at"])

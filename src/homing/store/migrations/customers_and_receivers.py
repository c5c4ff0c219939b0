"""The tables of what customers and operators are told, as revision 0007 makes them."""

from typing import Any

from alembic import op
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)

from homing.store.db.schema.columns import BoundedInteger, JsonText, SealedBytes, UtcDateTime, Words

_PENDING, _DEAD, _FINISHED = (text(each) for each in ("state = 'pending'", "state = 'dead'", "finished_at IS NOT NULL"))


def create_deliveries() -> None:
    for column in _of_events():
        op.add_column("events", column)
    _index("events_told_key_idx", "events", ["told_key"], text("told_key IS NOT NULL"), unique=True)
    _endpoints()
    _deliveries()
    op.create_table(
        "delivery_attempts",
        Column("delivery_id", BoundedInteger(), autoincrement=False, nullable=False),
        Column("number", Integer(), autoincrement=False, nullable=False),
        Column("at", UtcDateTime(), nullable=False),
        Column("latency_ms", Integer(), nullable=False),
        Column("status", Integer(), nullable=True),
        Column("reason", Words(), nullable=False),
        Column("body", Words(), nullable=False),
        PrimaryKeyConstraint("delivery_id", "number", name="delivery_attempts_pkey"),
    )
    op.create_table(
        "event_counters",
        Column("session_id", Words(), nullable=False),
        Column("chat", Words(), nullable=False),
        Column("last", BoundedInteger(), nullable=False),
        Column("told_status", Words(), nullable=False, server_default=""),
        PrimaryKeyConstraint("session_id", "chat", name="event_counters_pkey"),
    )


def drop_deliveries() -> None:
    for table in ("event_counters", "delivery_attempts", "deliveries", "endpoints"):
        op.drop_table(table)
    op.drop_index("events_told_key_idx", "events")
    for column in reversed(_of_events()):
        op.drop_column("events", column.name)


def create_receivers() -> None:
    op.create_table(
        "receivers",
        Column("id", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("target", Words(), nullable=False),
        Column("options", JsonText(), nullable=False),
        Column("secret", SealedBytes(), nullable=True),
        Column("secret_key", Words(), nullable=True),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("failing_since", UtcDateTime(), nullable=True),
        Column("last_error", Words(), nullable=False),
        Column("last_told_at", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("id", name="receivers_pkey"),
        UniqueConstraint("name", name="receivers_name_key"),
        CheckConstraint("(secret IS NULL) = (secret_key IS NULL)", name=op.f("receivers_secret_check")),
        CheckConstraint(
            "kind IN ('webhook', 'slack', 'alertmanager', 'email', 'heartbeat')", name=op.f("receivers_kind_check")
        ),
    )
    op.create_table(
        "receiver_told",
        Column("receiver_id", Words(), nullable=False),
        Column("alert_id", Words(), nullable=False),
        Column("about", Words(), nullable=False),
        Column("subject", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("raised_at", UtcDateTime(), nullable=False),
        Column("told_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("receiver_id", "alert_id", name="receiver_told_pkey"),
    )
    op.create_table(
        "silences",
        Column("id", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("about", Words(), nullable=False),
        Column("subject", Words(), nullable=False),
        Column("until", UtcDateTime(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("created_by", Words(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="silences_pkey"),
    )
    op.create_index("silences_until_idx", "silences", ["until"])


def drop_receivers() -> None:
    for table in ("silences", "receiver_told", "receivers"):
        op.drop_table(table)


def _of_events() -> list[Column[Any]]:
    return [
        Column("type", Words(), nullable=True),
        Column("chat", Words(), nullable=True),
        Column("session_sequence", BoundedInteger(), nullable=True),
        Column("chat_sequence", BoundedInteger(), nullable=True),
        Column("told_key", Words(), nullable=True),
    ]


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        Column("id", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("url", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("events", Words(), nullable=False),
        Column("schedule", Words(), nullable=False),
        Column("ordered", Boolean(), nullable=False),
        Column("rate_per_s", Integer(), nullable=True),
        Column("concurrency", Integer(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("state_reason", Words(), nullable=False),
        Column("secret", SealedBytes(), nullable=False),
        Column("secret_key", Words(), nullable=False),
        Column("previous_secret", SealedBytes(), nullable=True),
        Column("previous_secret_key", Words(), nullable=True),
        Column("previous_secret_until", UtcDateTime(), nullable=True),
        Column("failures", Integer(), nullable=False),
        Column("failing_since", UtcDateTime(), nullable=True),
        Column("retry_at", UtcDateTime(), nullable=True),
        Column("latency_ms", Integer(), nullable=False),
        Column("last_success_at", UtcDateTime(), nullable=True),
        Column("backlog_full", Boolean(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("updated_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="endpoints_pkey"),
        ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("endpoints_workspace_id_fkey")),
        CheckConstraint(
            "(previous_secret IS NULL) = (previous_secret_until IS NULL)", name=op.f("endpoints_previous_secret_check")
        ),
        CheckConstraint("state IN ('enabled', 'disabled')", name=op.f("endpoints_state_check")),
        CheckConstraint("schedule IN ('standard', 'short')", name=op.f("endpoints_schedule_check")),
    )
    op.create_index("endpoints_workspace_id_id_idx", "endpoints", ["workspace_id", "id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("endpoint_id", Words(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("event_sequence", BoundedInteger(), nullable=False),
        Column("event_id", Words(), nullable=False),
        Column("type", Words(), nullable=False),
        Column("lane", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("due_at", UtcDateTime(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("round_attempts", Integer(), nullable=False),
        Column("status", Integer(), nullable=True),
        Column("reason", Words(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        Column("finished_at", UtcDateTime(), nullable=True),
        PrimaryKeyConstraint("id", name="deliveries_pkey"),
        UniqueConstraint("endpoint_id", "event_sequence", name="deliveries_endpoint_id_event_sequence_key"),
        CheckConstraint("(finished_at IS NULL) = (state = 'pending')", name=op.f("deliveries_finished_check")),
        CheckConstraint("state IN ('pending', 'delivered', 'dead')", name=op.f("deliveries_state_check")),
        sqlite_autoincrement=True,
    )
    op.create_index("deliveries_workspace_id_id_idx", "deliveries", ["workspace_id", "id"])
    op.create_index("deliveries_endpoint_id_id_idx", "deliveries", ["endpoint_id", "id"])
    _index("deliveries_due_idx", "deliveries", ["endpoint_id", "due_at", "id"], _PENDING)
    _index("deliveries_lane_idx", "deliveries", ["endpoint_id", "lane", "event_sequence"], _PENDING)
    _index("deliveries_dead_idx", "deliveries", ["endpoint_id", "id"], _DEAD)
    _index("deliveries_finished_idx", "deliveries", ["finished_at"], _FINISHED)


def _index(name: str, table: str, columns: list[str], where: Any, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)

"""The tables of what customers are told: endpoints, deliveries with their attempts, and where the numbers stand."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, UniqueConstraint

from homing.model.deliveries.deliveries import DeliveryState
from homing.model.deliveries.endpoints import EndpointState, RetrySchedule
from homing.store.db.schema.columns import BoundedInteger, SealedBytes, UtcDateTime, Words
from homing.store.db.schema.tables import _one_of, _partial, metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Words, primary_key=True),
    Column("workspace_id", BoundedInteger, ForeignKey("workspaces.id"), nullable=False),
    Column("url", Words, nullable=False),
    Column("name", Words, nullable=False),
    # Types of events with commas; empty: all.
    Column("events", Words, nullable=False),
    Column("schedule", Words, nullable=False),
    Column("ordered", Boolean, nullable=False),
    Column("rate_per_s", Integer),
    Column("concurrency", Integer, nullable=False),
    Column("state", Words, nullable=False),
    Column("state_reason", Words, nullable=False),
    # What deliveries are signed with, sealed; the one before a rotation signs too for a while.
    Column("secret", SealedBytes, nullable=False),
    Column("secret_key", Words, nullable=False),
    Column("previous_secret", SealedBytes),
    Column("previous_secret_key", Words),
    Column("previous_secret_until", UtcDateTime),
    # How telling it goes: attempts that failed in a row, since when; before `retry_at` none is begun.
    Column("failures", Integer, nullable=False),
    Column("failing_since", UtcDateTime),
    Column("retry_at", UtcDateTime),
    Column("latency_ms", Integer, nullable=False),
    Column("last_success_at", UtcDateTime),
    # More waits for it than may wait: what is new is a dead letter at once.
    Column("backlog_full", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "workspace_id", "id"),
    CheckConstraint("(previous_secret IS NULL) = (previous_secret_until IS NULL)", name="previous_secret"),
    _one_of("state", EndpointState),
    _one_of("schedule", RetrySchedule),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("endpoint_id", Words, nullable=False),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("event_sequence", BoundedInteger, nullable=False),
    Column("event_id", Words, nullable=False),
    Column("type", Words, nullable=False),
    # The session and the chat: of one lane an ordered endpoint gets one at a time.
    Column("lane", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    # All that ended, and those since it was made or replayed.
    Column("attempts", Integer, nullable=False),
    Column("round_attempts", Integer, nullable=False),
    Column("status", Integer),
    Column("reason", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    UniqueConstraint("endpoint_id", "event_sequence"),
    Index(None, "workspace_id", "id"),
    Index(None, "endpoint_id", "id"),
    _partial("deliveries_due_idx", "endpoint_id", "due_at", "id", where="state = 'pending'"),
    _partial("deliveries_lane_idx", "endpoint_id", "lane", "event_sequence", where="state = 'pending'"),
    _partial("deliveries_dead_idx", "endpoint_id", "id", where="state = 'dead'"),
    _partial("deliveries_finished_idx", "finished_at", where="finished_at IS NOT NULL"),
    CheckConstraint("(finished_at IS NULL) = (state = 'pending')", name="finished"),
    _one_of("state", DeliveryState),
    sqlite_autoincrement=True,
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", BoundedInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("latency_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("reason", Words, nullable=False),
    # The beginning of what it answered.
    Column("body", Words, nullable=False),
)

# The last number that was given out in a session (its chat is empty) or in one of its chats.
event_counters = Table(
    "event_counters",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("chat", Words, primary_key=True),
    Column("last", BoundedInteger, nullable=False),
    # Of a session what its status was when it was last told.
    Column("told_status", Words, nullable=False, server_default=""),
)

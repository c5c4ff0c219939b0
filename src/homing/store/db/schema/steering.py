"""The tables of what people want of the fleet as a whole. They share the schema's metadata."""

from sqlalchemy import Boolean, Column, Index, Integer, Table

from homing.model.instances.steering import PlanKind, PlanState
from homing.store.db.schema.columns import JsonText, UtcDateTime, Words
from homing.store.db.schema.tables import _one_of, metadata

# One row: whether sessions are moved without anybody asking. None while nobody said anything.
automation = Table(
    "automation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("is_on", Boolean, nullable=False),
    Column("actor", Words, nullable=False),
    Column("since", UtcDateTime, nullable=False),
)

# Plans of moves: the steps in their order, who stays and why, and whose turn came.
plans = Table(
    "plans",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("instance_url", Words),
    Column("budget", Integer, nullable=False),
    Column("reason", Words, nullable=False),
    Column("actor", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("steps", JsonText, nullable=False),
    Column("staying", JsonText, nullable=False),
    Column("begun", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    _one_of("kind", PlanKind),
    _one_of("state", PlanState),
    Index(None, "created_at"),
)

"""What people want of the fleet as a whole: whether it looks after itself, and plans of moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homing.model.fleet import Epoch, InstanceUrl
from homing.model.ids import SessionId


@dataclass(frozen=True, slots=True)
class AutomationSet:
    """Whether sessions are moved without anybody asking; who said so and when, or nobody yet."""

    on: bool = True
    by: str = ""
    since: datetime | None = None


class PlanKind(StrEnum):
    """What a plan of moves is for."""

    REBALANCE = "rebalance"
    """Spread the sessions evenly."""
    EMPTY = "empty"
    """Bring the sessions of one instance elsewhere, a few at a time."""


class PlanState(StrEnum):
    """How far a plan is."""

    DRAFT = "draft"
    """A dry run, to be looked at."""
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One session that is to move. Of an emptied instance `to_url` is where it would go as things stood."""

    session_id: SessionId
    account_id: int
    from_url: InstanceUrl
    from_epoch: Epoch
    to_url: InstanceUrl | None
    why: str
    gap_ms: int


@dataclass(frozen=True, slots=True)
class MovePlan:
    """Steps in their order, and the sessions that stay, by account, each with what is in the way.

    `budget` is how many may be on their way at a time, `begun` those whose turn came.
    """

    id: str
    kind: PlanKind
    instance_url: InstanceUrl | None
    budget: int
    reason: str
    by: str
    created_at: datetime
    steps: tuple[PlannedStep, ...]
    staying: Mapping[int, str]
    state: PlanState = PlanState.DRAFT
    begun: frozenset[SessionId] = frozenset()
    started_at: datetime | None = None
    ended_at: datetime | None = None

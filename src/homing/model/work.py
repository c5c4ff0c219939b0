"""Work that outlives who asked for it: jobs, how their attempts end, and the ticks of schedules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NewType

JobId = NewType("JobId", int)


class JobState(StrEnum):
    """Where a job stands. `queued` is behind another of its key; `ready` may be claimed from `due_at` on."""

    QUEUED = "queued"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


TAKEN_OVER = "whoever did it did not end it in time, and another one took it over"
"""The reason of a job from a claim on that found another's lease run out, until it ends."""

FINISHED = (JobState.DONE, JobState.DEAD, JobState.CANCELLED)


class Priority(IntEnum):
    """Which jobs of a kind go first."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


@dataclass(frozen=True, slots=True)
class NewJob:
    """Work to be done, not before `after_s` from now. `payload` is JSON.

    Jobs of one `key` are done one at a time, in order. While a job of the same kind and `dedup` is unfinished, no
    second one comes to be. `share`: whose share of the workers it takes, such as a workspace's; kinds that are claimed
    fairly give each share as much as any other.
    """

    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    dedup: str | None = None
    priority: Priority = Priority.NORMAL
    after_s: float = 0.0
    share: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as the store has it. `attempts` counts those begun, `fence` the claims ever made.

    `due_at` is when it may be claimed: while it runs, the end of its lease. `reason` says how the last attempt ended.
    """

    id: JobId
    kind: str
    key: str | None
    dedup: str | None
    payload: Mapping[str, Any]
    priority: Priority
    state: JobState
    due_at: datetime
    attempts: int
    fence: int
    owner: str | None
    reason: str
    created_at: datetime
    finished_at: datetime | None


# --- how an attempt ends --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done. `reason` is its result in one sentence."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not work; try again in `after_s`. Where nothing failed, and only time has to pass, it does not count."""

    after_s: float
    reason: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """It will not work. The job is kept, to be looked at and perhaps replayed."""

    reason: str


@dataclass(frozen=True, slots=True)
class GivenBack:
    """It was not tried, or not to its end, for a reason of ours; anybody may, at once. Not counted as an attempt."""

    reason: str


Ending = Done | Retry | Dead | GivenBack


@dataclass(frozen=True, slots=True)
class Concluded:
    """Its handler has stored how it ended, in the transaction of what it did."""


@dataclass(frozen=True, slots=True)
class WorkFigures:
    """How much work of one kind there is in each state, and for how long the oldest one has been due and unclaimed."""

    kind: str
    counts: Mapping[JobState, int]
    oldest_due_s: float


# --- schedules ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick of a schedule that is ours to run. `taken_over`: somebody began a run before us and vanished."""

    name: str
    at: datetime
    fence: int
    taken_over: bool
    reason: str


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing to run now; it is worth asking again in `ask_in_s`. None: the schedule is off."""

    ask_in_s: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule and its last run. `holder` is who runs it now; `runs` and `failures` count since the beginning."""

    name: str
    expression: str
    last_tick_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: str
    error: str
    holder: str | None
    lease_until: datetime | None
    fence: int
    runs: int
    failures: int

"""Does a condition stand that a person should hear of, has it passed, or is nothing sure?

What begins and what ends an alert are not the same figure, so that one that swings about a limit is told once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from homing.decide.work import cron
from homing.model.instances.health import HealthJudgment, HealthState
from homing.model.work import ScheduleRecord

DOWN_AFTER_S = 30.0
UNKNOWN_AFTER = timedelta(minutes=15)
TURNS_MISSED = 3
LATE = timedelta(seconds=60)
RUNS_LONG = timedelta(minutes=30)
"""A check that somebody is still at after so long does not count as running."""
FAILED_IN_A_ROW = 2
SLOW_S, WELL_S = 0.5, 0.25
SLOW_OVER_S = 20.0
OFF_S, ON_S = 5.0, 2.0
SHORT_WINDOW_H, LONG_WINDOW_H = 6, 24
GROWTH_TELLS = 3
"""Accounts that were added within a day, from which on there is a growth to speak of."""
_RELIEF = 1.25


@dataclass(frozen=True, slots=True)
class Stands:
    """The condition is there, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Passed:
    """It is not, or not any more."""


Condition = Stands | Passed | None
"""None: what is known speaks neither for it nor against it, and what stands goes on standing."""


def instance_down(judged: HealthJudgment, now_s: float, *, sessions: int, was_well: bool, draining: bool) -> Condition:
    """Whether an instance has been unwell for long. Nobody misses one that never came up, or was emptied on purpose."""
    if judged.state is HealthState.HEALTHY:
        return Passed() if was_well else None
    if sessions == 0 and draining:
        return Passed()
    since_s = judged.since_s if judged.unwell_since_s is None else judged.unwell_since_s
    if now_s - since_s < DOWN_AFTER_S or (sessions == 0 and not was_well):
        return None
    return Stands(f"it is {judged.state.value}: {judged.reason}")


@dataclass(frozen=True, slots=True)
class AccountGrowth:
    """Accounts that were added within the last hours, and within the last day."""

    short: int
    long: int

    @property
    def per_hour(self) -> float:
        """What both windows bear out: an import of an hour is no growth of the next day."""
        if self.long < GROWTH_TELLS:
            return 0.0
        return min(self.short / SHORT_WINDOW_H, self.long / LONG_WINDOW_H)


def capacity_short(room: int | None, growth: AccountGrowth, horizon_h: float) -> Condition:
    """Whether the room that is left is used up within so many hours. `room` is None where some of it is endless."""
    if room is None or growth.per_hour == 0:
        return Passed()
    hours = room / growth.per_hour
    if hours > horizon_h * _RELIEF:
        return Passed()
    if hours > horizon_h:
        return None
    left = f"there is room for {room} more" if room else "there is no room left"
    lasts = f": enough for {max(1, round(hours))} h" if room else ""
    return Stands(f"{left}, and {growth.per_hour:.1f} accounts an hour are added{lasts}")


def unknown_waiting(count: int, oldest_at: datetime | None) -> Condition:
    """`count`: messages that have been unknown for `UNKNOWN_AFTER`."""
    if count == 0 or oldest_at is None:
        return Passed()
    what = "1 message waits" if count == 1 else f"{count} messages wait"
    return Stands(f"{what} to be settled, the oldest since {oldest_at:%Y-%m-%d %H:%M} UTC")


def schedule_not_running(known: ScheduleRecord | None, expression: str, now: datetime) -> Condition:
    """Whether a schedule missed its turns: nobody begins it, or who began it does not end."""
    if not expression.strip():
        return Passed()
    if known is None:
        return None
    is_held = known.holder is not None and known.lease_until is not None and known.lease_until > now
    if is_held and known.started_at is not None and now - known.started_at < RUNS_LONG:
        return Passed()
    turn: datetime | None = known.last_tick_at
    for _ in range(TURNS_MISSED):
        turn = cron.next_at(expression, turn) if turn is not None else None
    if turn is None or now < turn + LATE:
        return Passed()
    still = f"; {known.holder} has been at it since" if is_held else ""
    return Stands(f"the last one began at {known.last_tick_at:%Y-%m-%d %H:%M} UTC{still}")


@dataclass(frozen=True, slots=True)
class Streak:
    """How many runs of a schedule failed in a row, of those that were seen. `runs` is how many there were by then."""

    runs: int = -1
    failed: int = 0

    def after(self, known: ScheduleRecord) -> "Streak":
        if known.finished_at is None or known.runs == self.runs:
            return self
        return Streak(known.runs, self.failed + 1 if known.error else 0)


def schedule_failing(known: ScheduleRecord, streak: Streak) -> Condition:
    """One failure alone may be a moment's."""
    if not known.error:
        return Passed()
    return Stands(f"it failed: {known.error}") if streak.failed >= FAILED_IN_A_ROW else None


def database_slow(lags_s: Sequence[float]) -> Condition:
    """By what the newest answers took, over `SLOW_OVER_S`."""
    usual_s = median(lags_s)
    if usual_s >= SLOW_S:
        return Stands(f"it takes {usual_s:.1f} s to answer")
    return Passed() if usual_s <= WELL_S else None


def clock_off(ahead_s: float) -> Condition:
    """`ahead_s`: by how much a machine's clock is ahead of the database's."""
    if abs(ahead_s) >= OFF_S:
        return Stands(f"its clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the database's")
    return Passed() if abs(ahead_s) <= ON_S else None

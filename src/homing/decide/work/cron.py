"""When a schedule ticks: cron expressions of five fields, or six with seconds as the last, all in UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from croniter import CroniterBadDateError, CroniterError, croniter

_NO_EXPRESSION = "{!r} is no cron expression like '*/5 * * * *'"


@dataclass(frozen=True, slots=True)
class Due:
    """A tick has come and was not begun. Earlier ones that were missed are part of it."""

    tick_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing to run before `next_at`."""

    next_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Off:
    """The schedule never runs."""

    reason: str


def due(now: datetime, last_tick_at: datetime, expression: str) -> Due | Later | Off:
    """Whether a tick after `last_tick_at` has come. Raises ValueError, with a sentence, for what is no expression."""
    if not expression.strip():
        return Off("it is switched off")
    tick_at = _newest_tick(now, expression)
    if tick_at > last_tick_at:
        return Due(tick_at, f"due since {tick_at:%Y-%m-%d %H:%M:%S} UTC")
    next_at = _next_tick(max(now, last_tick_at), expression)
    return Later(next_at, f"due at {next_at:%Y-%m-%d %H:%M:%S} UTC")


def next_at(expression: str, now: datetime) -> datetime | None:
    """When the next tick comes; None if the schedule is off."""
    return _next_tick(now, expression) if expression.strip() else None


def checked(expression: str) -> str:
    """The expression, if it is one. Raises ValueError with one sentence; an empty one means off."""
    if expression.strip():
        _next_tick(datetime.fromisoformat("2026-01-01T00:00:00Z"), expression)
    return expression


def _newest_tick(now: datetime, expression: str) -> datetime:
    this_second = now.replace(microsecond=0)
    # `get_prev` looks strictly before its start, and a tick is due in its own second.
    return _asked(expression, this_second + timedelta(seconds=1), backwards=True)


def _next_tick(after: datetime, expression: str) -> datetime:
    return _asked(expression, after, backwards=False)


def _asked(expression: str, start: datetime, *, backwards: bool) -> datetime:
    fields = len(expression.split())
    if fields not in (1, 5, 6):  # one: @hourly and its kin
        raise ValueError(f"{_NO_EXPRESSION.format(expression)}: it has {fields} fields")
    try:
        ticks = croniter(expression, start)
        tick: datetime = ticks.get_prev(datetime) if backwards else ticks.get_next(datetime)
    except CroniterBadDateError as error:
        raise ValueError(f"the schedule {expression!r} never comes to pass") from error
    except CroniterError as error:
        raise ValueError(f"{_NO_EXPRESSION.format(expression)}: {error}") from error
    return tick.replace(fold=0)

"""What follows from an attempt to tell an endpoint: is it told, when is it tried again, is it given up?"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import assert_never

from homing.model.deliveries.deliveries import DeliveryState
from homing.model.deliveries.egress import CallAnswer, CallFailed
from homing.model.deliveries.endpoints import EndpointHealth, EndpointState, RetrySchedule

_HOUR_S = 3_600.0
STANDARD_WAITS_S = (
    5.0, 30.0, 120.0, 600.0, 1_800.0, 2 * _HOUR_S, 5 * _HOUR_S, 10 * _HOUR_S, 14 * _HOUR_S, 20 * _HOUR_S, 24 * _HOUR_S,
)  # fmt: skip
"""Twelve attempts over 75.7 hours at the least: a weekend's outage, and the evening after it."""
SHORT_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_LATER_BY = 0.2
"""Jitter is added only, so that no schedule gets shorter than it says."""
RETRY_AFTER_MAX_S = 24 * _HOUR_S
_GONE = 410
SOME_FAILURES = 3
"""In a row; from then on an endpoint is tried with one delivery at a time, and let be in between."""
_GATE_MAX_S = {RetrySchedule.STANDARD: 300.0, RetrySchedule.SHORT: 8.0}
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class PatiencePolicy:
    """How long an endpoint may fail before it is disabled; and from when on it is told in a line of its own."""

    disable_after: timedelta = timedelta(days=5)
    slow_ms: int = 3_000


@dataclass(frozen=True, slots=True)
class NextStep:
    """What becomes of one delivery: its state, when it is due again, why; `gone`: the endpoint wants nothing more."""

    state: DeliveryState
    after_s: float
    reason: str
    gone: bool = False


def next_step(
    answer: CallAnswer | CallFailed, *, attempt: int, schedule: RetrySchedule, now: datetime, chance: float
) -> NextStep:
    """After the `attempt`-th attempt, counted from 1. `chance` is from [0, 1)."""
    if isinstance(answer, CallAnswer) and 200 <= answer.status < 300:
        return NextStep(DeliveryState.DELIVERED, 0.0, f"answered {answer.status}")
    why = f"answered {answer.status}" if isinstance(answer, CallAnswer) else answer.reason
    if isinstance(answer, CallAnswer) and answer.status == _GONE:
        return NextStep(DeliveryState.DEAD, 0.0, "answered 410: it wants nothing more", gone=True)
    waits_s = _waits_s(schedule)
    if attempt > len(waits_s):
        return NextStep(DeliveryState.DEAD, 0.0, f"given up after {attempt} attempts: {why}")
    wait_s = waits_s[attempt - 1] * (1 + _LATER_BY * chance)
    asked_s = _asked_to_wait_s(answer, now) if isinstance(answer, CallAnswer) else 0.0
    return NextStep(DeliveryState.PENDING, max(wait_s, min(asked_s, RETRY_AFTER_MAX_S)), why)


def health_after(
    before: EndpointHealth, *, succeeded: bool, latency_ms: int, schedule: RetrySchedule, now: datetime
) -> EndpointHealth:
    """How the endpoint is after one more attempt. From the third failure in a row on it is let be for a while, longer
    with each one, whatever else waits for it: who is down is not hammered."""
    smoothed = round(before.latency_ms + _SMOOTHING * (latency_ms - before.latency_ms))
    if succeeded:
        return EndpointHealth(latency_ms=smoothed, last_success_at=now)
    if before.retry_at is not None and now < before.retry_at:
        return replace(before, latency_ms=smoothed)  # one of several at once: together they are one failure
    failures = before.failures + 1
    let_be_s = min(2.0 ** min(failures - SOME_FAILURES, 10), _GATE_MAX_S[schedule])
    return replace(
        before,
        failures=failures,
        failing_since=before.failing_since or now,
        retry_at=now + timedelta(seconds=let_be_s) if failures >= SOME_FAILURES else None,
        latency_ms=smoothed,
    )


def is_slow(health: EndpointHealth, policy: PatiencePolicy) -> bool:
    """Whether it is told in the line of those that fail or take long, so that the others need not wait for it."""
    return health.failures >= SOME_FAILURES or health.latency_ms >= policy.slow_ms


def state_after(health: EndpointHealth, *, now: datetime, policy: PatiencePolicy) -> tuple[EndpointState, str]:
    """Whether it is still told anything, and why not."""
    since = health.failing_since
    if since is not None and now - since >= policy.disable_after:
        days = (now - since).total_seconds() / 86_400
        return EndpointState.DISABLED, f"every attempt has failed for {days:.1f} days"
    return EndpointState.ENABLED, ""


def _waits_s(schedule: RetrySchedule) -> tuple[float, ...]:
    match schedule:
        case RetrySchedule.STANDARD:
            return STANDARD_WAITS_S
        case RetrySchedule.SHORT:
            return SHORT_WAITS_S
        case _:
            assert_never(schedule)


def _asked_to_wait_s(answer: CallAnswer, now: datetime) -> float:
    """`Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3); 0 where it says nothing that can be read."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        until = parsedate_to_datetime(given)
    except (TypeError, ValueError):
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max((until - now).total_seconds(), 0.0)

"""What follows from the answer to a notification: it is delivered, tried again after a pause, or given up.

A notification whose quick retries are used up is parked: it stays in the journal and is tried again slowly. One of
those that are parked is the scout, and tried more often: when the gateway takes a notification again, all that wait
may go soon, and need not sit out their pause.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

CURABLE = frozenset({401, 403, 404, 408, 429})
"""Answers that speak of the moment and not of the notification: a clock that is off, a secret or an address that is
being changed, a gateway with too much to do."""

_UNAUTHORISED = 401
_DIGITS_MAX = 12


@dataclass(frozen=True, slots=True)
class NotifyRetryPolicy:
    """How often and how patiently notifications are tried, and how many at once."""

    retries_max: int = 3
    """Quick retries; after them the notification is parked."""
    first_pause_s: float = 1.0
    pause_max_s: float = 8.0
    parked_pause_s: float = 30.0
    age_max_s: float = 24 * 3600.0
    retry_after_max_s: float = 3600.0
    timeout_s: float = 10.0
    in_flight_max: int = 16


@dataclass(frozen=True, slots=True)
class NotifyAnswer:
    """The gateway's status code, its ``Retry-After`` as it wrote it, and its ``X-Timestamp``: its clock's unix seconds,
    which it adds where it finds ours to be off."""

    status: int
    retry_after: str | None = None
    timestamp: str | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody answered: refused, cut, or too late."""

    why: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The gateway has it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Worth another attempt in ``after_s``, or from ``soonest_s`` on once the gateway has taken another one."""

    after_s: float
    soonest_s: float
    parked: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """No further attempt would end better."""

    reason: str


Next = Delivered | Again | GivenUp


def judge(
    answer: NotifyAnswer | NoAnswer,
    policy: NotifyRetryPolicy,
    *,
    failures: int,
    age_s: float,
    jitter: float,
    now: float,
    scouts: bool = False,
) -> Next:
    """What follows from the answer after so many failures before it; ``jitter`` is chance from 0 to 1."""
    if isinstance(answer, NotifyAnswer):
        if 200 <= answer.status < 300:
            return Delivered()
        if answer.status not in CURABLE and answer.status < 500:
            return GivenUp(f"the gateway answered {answer.status}")
    reason = answer.why if isinstance(answer, NoAnswer) else f"the gateway answered {answer.status}"
    if age_s > policy.age_max_s:
        return GivenUp(f"{reason}, and the notification is {age_s / 3600:.0f} h old")
    parked = failures >= policy.retries_max
    pause_s = _pause_s(policy, failures, jitter, scouts=scouts)
    if isinstance(answer, NoAnswer):
        return Again(pause_s, min(pause_s, policy.first_pause_s), parked, reason)
    # It answered us, and may do so again: what is wrong can be this one notification, which is not to come each second.
    named_s = min(_named_s(answer, now), policy.retry_after_max_s)
    return Again(max(pause_s, named_s), max(min(pause_s, policy.pause_max_s), named_s), parked, reason)


def clock_off_s(answer: NotifyAnswer | NoAnswer, now: float) -> float | None:
    """By how much the gateway's clock is ahead of ours, where it refused us for that and told its time; else None."""
    if not isinstance(answer, NotifyAnswer) or answer.status != _UNAUTHORISED:
        return None
    told = answer.timestamp or ""
    return int(told) - now if told.isascii() and told.isdecimal() and len(told) <= _DIGITS_MAX else None


def _pause_s(policy: NotifyRetryPolicy, failures: int, jitter: float, *, scouts: bool) -> float:
    """1, 2, 4, 8 s, then the slow pace; spread around that by half of it either way."""
    if failures >= policy.retries_max and not scouts:
        mean = policy.parked_pause_s
    else:
        mean = min(policy.pause_max_s, policy.first_pause_s * 2.0 ** min(failures, 30))
    return mean * (0.5 + jitter)


def _named_s(answer: NotifyAnswer, now: float) -> float:
    """The pause that the gateway asks for: seconds, or a date; 0 if it asks for none that can be read."""
    given = (answer.retry_after or "").strip()
    if given.isascii() and given.isdecimal():
        return float(given[:12])
    try:
        moment = parsedate_to_datetime(given)
    except ValueError:
        return 0.0
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now)

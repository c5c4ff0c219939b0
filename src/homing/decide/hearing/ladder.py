"""What is tried next with a deaf session, if anything, and why.

The gentlest rung first, each only if the gateway can and the policy allows it, each at most as often as its budget
says. A session that is heard of again is left alone at once. A rung that was begun counts as used, whether or not
whoever went up it lived to say how it ended: a killed gateway never makes another one repeat what it did.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from homing.decide.moves import rules
from homing.model.fleet import DeafPolicy, InstanceMode, SessionStatus, Takeover
from homing.model.sessions.hearing import Hearing, HearingRecord, HearingVerdict, Rung, Shows, TriedRung

ORDER = tuple(Rung)
LISTEN = {
    Rung.CHECK: timedelta(seconds=30),
    Rung.RESUBSCRIBE: timedelta(minutes=5),
    Rung.RECONNECT: timedelta(minutes=5),
    Rung.RESTART: timedelta(minutes=10),
    Rung.REHOME: timedelta(minutes=10),
    Rung.RECYCLE: timedelta(minutes=30),
    Rung.ALERT: timedelta(0),
}
"""How long a rung is given to show in what comes, before the next one."""
TOUCHES = frozenset({Rung.RECONNECT, Rung.RESTART, Rung.REHOME, Rung.RECYCLE})
"""Rungs that interrupt a session."""


LOOK_AGAIN = timedelta(minutes=1)
SILENCE_GOES_ON = 16.0
"""What a silence alone must weigh since the last rung for another one: the day may have become a quiet one."""
_A_DAY = {
    Rung.CHECK: 24,
    Rung.RESUBSCRIBE: 6,
    Rung.RECONNECT: 4,
    Rung.RESTART: 3,
    Rung.REHOME: 1,
    Rung.RECYCLE: 1,
    Rung.ALERT: 24,
}


@dataclass(frozen=True, slots=True)
class DeafBudget:
    """How often a rung may be tried with one session within a day, and how many sessions of the fleet may be touched
    within an hour."""

    per_session: Mapping[Rung, int] = field(default_factory=lambda: _A_DAY)
    within: timedelta = timedelta(hours=24)
    fleet_touches: int = 20
    fleet_within: timedelta = timedelta(hours=1)


USUAL = DeafBudget()


@dataclass(frozen=True, slots=True)
class Able:
    """What can be done with the session where it is, and by whom. `takeover` is its own; `fenced`: its holder could be
    kept from acting if it were opened elsewhere."""

    resubscribes: bool = False
    reconnects: bool = False
    restarts: bool = False
    fenced: bool = False
    recycles: bool = False
    mode: InstanceMode = InstanceMode.ROUTE
    takeover: Takeover = Takeover.AUTO
    status: SessionStatus = SessionStatus.CONNECTED


@dataclass(frozen=True, slots=True)
class Climb:
    """Go up this rung now. `passed_over` says of those below why they were not tried."""

    rung: Rung
    reason: str
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listen:
    """Something was tried; wait whether it shows until then."""

    until_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class NothingMore:
    """Nothing is to be done: it hears, or all that may be tried was."""

    reason: str


NextRung = Climb | Listen | NothingMore


def next_rung(
    record: HearingRecord,
    verdict: HearingVerdict,
    able: Able,
    policy: DeafPolicy,
    now: datetime,
    *,
    touched: Collection[datetime] = (),
    budget: DeafBudget = USUAL,
    held: str | None = None,
) -> NextRung:
    """The next rung for a session that stands so. `verdict` is by what was seen since something was last tried.

    `touched` is when sessions of the fleet were last interrupted by a ladder; `held` is why none may be now.
    """
    if record.hearing is not Hearing.DEAF:
        return NothingMore(f"it is {record.hearing.value}")
    recent = [each for each in record.tried if now - each.began_at < budget.within]
    if (waits := _listening(record, verdict, now)) is not None:
        return waits
    climbed = [each for each in recent if each.began_at >= record.since_at]
    above = max((ORDER.index(each.rung) for each in climbed), default=-1)
    passed: list[str] = []
    for rung in ORDER[above + 1 :]:
        obstacle = _obstacle(rung, able, policy, record) or _used(rung, recent, budget)
        if obstacle is not None:
            passed.append(f"{rung.value}: {obstacle}")
        elif rung in TOUCHES and (waits_for := held or _spent(touched, now, budget)) is not None:
            return Listen(now + LOOK_AGAIN, f"{rung.value} waits: {waits_for}")
        else:
            return Climb(rung, _why(rung, record, climbed), tuple(passed))
    return NothingMore("all that may be tried was tried")


def _listening(record: HearingRecord, verdict: HearingVerdict, now: datetime) -> Listen | None:
    """What was tried is given time, and traffic, to show: after the end of business it may have helped unheard."""
    last = record.tried[-1] if record.tried else None
    if last is None or last.began_at < record.since_at:
        return None
    until = (last.ended_at or last.began_at) + LISTEN[last.rung]
    if now < until:
        return Listen(until, f"{last.rung.value} was tried, and is given time to show")
    is_silent_only = verdict.shows <= {Shows.SILENCE} and verdict.against < SILENCE_GOES_ON
    if verdict.hearing is Hearing.HEARING or is_silent_only:
        return Listen(now + LOOK_AGAIN, f"since {last.rung.value} too little should have come to tell")
    return None


def _obstacle(rung: Rung, able: Able, policy: DeafPolicy, record: HearingRecord) -> str | None:
    """Why this rung is not gone up; None if it may be."""
    match rung:
        case Rung.CHECK | Rung.ALERT:
            return None
        case Rung.RESUBSCRIBE:
            return _unsubscribable(able, policy, record)
        case Rung.RECONNECT:
            return _kept_from(able, policy) or (None if able.reconnects else "its gateway cannot reconnect it alone")
        case Rung.RESTART:
            return _kept_from(able, policy) or (None if able.restarts else "to stop it there may end its login")
        case Rung.REHOME:
            return _kept_where_it_is(able, policy)
        case Rung.RECYCLE:
            if (kept := _kept_from(able, policy)) is not None:
                return kept
            if policy is not DeafPolicy.FULL:
                return f"the policy is {policy.value}"
            return None if able.recycles else "nobody is named who could start its instance anew"
        case _:
            assert_never(rung)


def _unsubscribable(able: Able, policy: DeafPolicy, record: HearingRecord) -> str | None:
    if policy is DeafPolicy.OBSERVE or able.mode is InstanceMode.OBSERVE:
        return "it is only observed"
    if not able.resubscribes:
        return "its gateway does not let its webhook be set"
    if not record.shows & {Shows.SILENCE, Shows.UNACKNOWLEDGED, Shows.PROBE}:
        return "what it reports arrives"
    return None


def _kept_from(able: Able, policy: DeafPolicy) -> str | None:
    """Why the session may not be touched at all."""
    if policy is DeafPolicy.OBSERVE:
        return "the policy is observe"
    if able.mode is InstanceMode.OBSERVE:
        return "its instance is only observed"
    if able.takeover is Takeover.NEVER:
        return rules.NEVER
    if able.status is not SessionStatus.CONNECTED:
        return f"it is {able.status.value}"
    return None


def _kept_where_it_is(able: Able, policy: DeafPolicy) -> str | None:
    if (kept := _kept_from(able, policy)) is not None:
        return kept
    if policy is not DeafPolicy.FULL:
        return f"the policy is {policy.value}"
    if able.takeover is not Takeover.AUTO:
        return f"its takeover is {able.takeover.value}"
    return None if able.fenced else "nothing would keep its holder from acting"


def _used(rung: Rung, recent: Sequence[TriedRung], budget: DeafBudget) -> str | None:
    times = sum(each.rung is rung for each in recent)
    if times < budget.per_session[rung]:
        return None
    return f"tried {times} times in the last {budget.within.total_seconds() / 3600:.0f} h, which is its budget"


def _spent(touched: Collection[datetime], now: datetime, budget: DeafBudget) -> str | None:
    recent = sum(now - at < budget.fleet_within for at in touched)
    if recent < budget.fleet_touches:
        return None
    minutes = budget.fleet_within.total_seconds() / 60
    return f"{recent} sessions were interrupted in the last {minutes:.0f} min, and {budget.fleet_touches} may be"


def _why(rung: Rung, record: HearingRecord, tried: Sequence[TriedRung]) -> str:
    before = f", after {', '.join(each.rung.value for each in tried)}" if tried else ""
    return f"{rung.value}{before}: {record.reason}"

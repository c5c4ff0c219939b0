"""What comes next, after all that a send went through so far?

The rules, in the order in which they apply: what WhatsApp or the gateway refused for good is not tried again; what
may have left us is repeated only under the same message id, through instances that take it from us, and is
otherwise *unknown*; what certainly did not leave is looked for and tried again until the caller's deadline.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import assert_never

from homing.decide.sending.uploads import UploadPolicy, time_on_its_way_s
from homing.model.fleet import InstanceUrl
from homing.model.sends.faults import Phase
from homing.model.sends.sending import (
    Attempt,
    BeyondDriver,
    CannotRepeat,
    FailureCode,
    Found,
    Happening,
    HeldTwice,
    InQuarantine,
    Looked,
    NeedsPairing,
    NotLooked,
    NotSent,
    Nowhere,
    OnlyObserved,
    Unknown,
    Unplaced,
    Verdict,
    VerdictKind,
    Waiting,
)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """How much a send may try. Times are in seconds.

    `deadline_s` bounds the recovery of one send. `retry_attempts` and `retry_delay_s` bound the tries in one place
    that keeps failing safely. `patience_s` is how long an instance that does not take our message id is waited for,
    because after it the send ends as unknown; `attempt_share` is the part of the deadline that one attempt may take
    where it can be repeated. `uploads`: what a file adds to that.
    """

    deadline_s: float = 10.0
    retry_attempts: int = 3
    retry_delay_s: float = 1.0
    patience_s: float = 30.0
    attempt_share: float = 0.4
    look_pause_s: float = 0.1
    look_pause_max_s: float = 1.0
    health_timeout_s: float = 2.0
    rediscover: bool = True
    uploads: UploadPolicy = field(default_factory=UploadPolicy)

    @property
    def longest_s(self) -> float:
        """No send without a file takes longer: what cannot be repeated may be begun as late as at the deadline."""
        return self.deadline_s + max(self.patience_s, self.health_timeout_s)


@dataclass(frozen=True, slots=True)
class Try:
    """Send (again), after a pause."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Look:
    """Find out where the session is, after a pause."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """There is nothing more to do within this send."""

    outcome: NotSent | Unknown


Step = Try | Look | Finish

_HOPELESS_S = 0.05
"""With less time than this left, another try would only end in the middle."""


def next_step(
    happened: Sequence[Happening], *, now_s: float, deadline_s: float, policy: SendPolicy, repeated: bool = False
) -> Step:
    """The next step of a send. `happened` is not empty; `repeated`: a gateway before us may have sent it already."""
    step = _wanted(happened, policy, repeated)
    if not isinstance(step, Finish) and now_s + step.after_s > deadline_s - _HOPELESS_S:
        step = _give_up(*_out_of_time(happened, step.reason), happened)
    if isinstance(step, Finish) and isinstance(step.outcome, NotSent) and may_have_left(happened, repeated):
        return Finish(Unknown(_ambiguous(happened, step.outcome.reason), _tries(happened), _last_url(happened)))
    return step


def attempt_timeout_s(
    *, now_s: float, deadline_s: float, policy: SendPolicy, chooses_id: bool, file_bytes: int | None = None
) -> float:
    """How long one attempt may take.

    Where the instance takes our message id a hanging instance must leave time for another; where it does not,
    leaving early would turn an answer that is on its way into an unknown. A file takes its time to get there, and
    whoever leaves early begins with it anew.
    """
    if file_bytes is not None:
        return policy.patience_s + time_on_its_way_s(file_bytes, policy.uploads)
    if not chooses_id:
        return policy.patience_s
    return max(_HOPELESS_S, min(deadline_s - now_s, policy.deadline_s * policy.attempt_share))


def may_have_left(happened: Sequence[Happening], repeated: bool = False) -> bool:
    """Whether the message may have reached WhatsApp by now."""
    return repeated or any(_left(item, happened[at + 1 :]) for at, item in enumerate(happened))


def must_not_repeat(happened: Sequence[Happening], repeated: bool, *, chooses_id: bool) -> bool:
    """Whether sending through an instance could say the message twice. `chooses_id`: it takes our message id."""
    left = [item for at, item in enumerate(happened) if _left(item, happened[at + 1 :])]
    if any(isinstance(item, Attempt) and not item.chose_id for item in left):
        return True
    return bool(left or repeated) and not chooses_id


def _left(item: Happening, afterwards: Sequence[Happening]) -> bool:
    """A 404 in other words than the gateway's is settled by the same instance's list, read afterwards."""
    if not isinstance(item, Attempt) or not item.verdict.may_have_left:
        return False
    if item.verdict.kind is not VerdictKind.MOVED:
        return True
    return not any(isinstance(later, Looked) and item.instance_url in later.denied for later in afterwards)


def _wanted(happened: Sequence[Happening], policy: SendPolicy, repeated: bool) -> Step:
    last = happened[-1]
    match last:
        case Attempt():
            return _after_attempt(last, happened, policy, repeated)
        case Looked():
            return _after_look(last, happened, policy)
        case CannotRepeat(instance_url=url):
            reason = f"{url} does not take message ids from us, and the message may have been sent before"
            return Finish(Unknown(reason, _tries(happened), url))
        case Unplaced(reason=reason):
            return _give_up(FailureCode.ACCOUNT_NOT_PLACED, reason, happened, final=True)
        case BeyondDriver(code=code, reason=reason):
            return _give_up(code, reason, happened, final=True)
        case OnlyObserved(instance_url=url):
            reason = f"its session is on {url}, which is only observed; `homing instances set {url} --mode route`"
            return _give_up(FailureCode.INSTANCE_OBSERVED, reason, happened, final=True)
        case _:
            assert_never(last)


def _after_attempt(last: Attempt, happened: Sequence[Happening], policy: SendPolicy, repeated: bool) -> Step:
    verdict = last.verdict
    match verdict.kind:
        case VerdictKind.REJECTED:
            restricted = last.fault.phase is Phase.RECIPIENT_RESTRICTED
            code = FailureCode.RECIPIENT_RESTRICTED if restricted else FailureCode.MESSAGE_REJECTED
            return _give_up(code, verdict.reason, happened, final=True)
        case VerdictKind.LOGGED_OUT:
            return _give_up(FailureCode.SESSION_LOGGED_OUT, verdict.reason, happened, final=True)
        case VerdictKind.MISCONFIGURED:
            return _give_up(FailureCode.INSTANCE_MISCONFIGURED, verdict.reason, happened)
        case VerdictKind.OVERLOADED:
            return Try(policy.retry_delay_s, verdict.reason)  # nothing was tried: there is no limit but the deadline
        case VerdictKind.THROTTLED:
            pause_s = policy.retry_delay_s if verdict.retry_after_s is None else verdict.retry_after_s
            return _again_here(happened, policy, FailureCode.THROTTLED, verdict, pause_s)
        case VerdictKind.DOWN | VerdictKind.MOVED | VerdictKind.STALE | VerdictKind.NOT_READY:
            if verdict.may_have_left and verdict.kind is not VerdictKind.MOVED and not last.chose_id:
                return Finish(Unknown(verdict.reason, _tries(happened), last.instance_url))
            if policy.rediscover:
                return Look(0.0, verdict.reason)
            if must_not_repeat(happened, repeated, chooses_id=last.chose_id):
                return Finish(Unknown(verdict.reason, _tries(happened), last.instance_url))
            return _again_here(happened, policy, _code(verdict), verdict, policy.retry_delay_s)
        case _:
            assert_never(verdict.kind)


def _after_look(last: Looked, happened: Sequence[Happening], policy: SendPolicy) -> Step:
    finding = last.finding
    match finding:
        case Found(moved=True, reason=reason):
            return Try(0.0, reason)
        case Found():
            return _try_where_it_was(finding, happened, policy)
        case Waiting(reason=reason) | Nowhere(reason=reason):
            return Look(_look_pause_s(happened, policy), reason)
        case NeedsPairing(reason=reason):
            return _give_up(FailureCode.SESSION_LOGGED_OUT, reason, happened, final=True)
        case InQuarantine(reason=reason):
            return _give_up(FailureCode.SESSION_QUARANTINED, reason, happened, final=True)
        case HeldTwice(reason=reason):
            return _give_up(FailureCode.DUPLICATE_HOLDER, reason, happened)
        case NotLooked(reason=reason):
            return _give_up(FailureCode.DIRECTORY_UNAVAILABLE, reason, happened)
        case _:
            assert_never(finding)


def _try_where_it_was(found: Found, happened: Sequence[Happening], policy: SendPolicy) -> Step:
    """The session is where we sent to.

    It came up while we waited: at once. It failed there once, perhaps in the middle of a hand-over: soon. It keeps
    failing: a few times, spaced.
    """
    attempts = _tried(happened)
    if not attempts or isinstance(happened[-2], Looked):
        return Try(0.0, found.reason)
    pause_s = policy.look_pause_s if _tries_in_a_row_here(happened) == 1 else policy.retry_delay_s
    return _again_here(happened, policy, _code(attempts[-1].verdict), attempts[-1].verdict, pause_s)


def _again_here(
    happened: Sequence[Happening], policy: SendPolicy, code: FailureCode, verdict: Verdict, pause_s: float
) -> Step:
    if _tries_in_a_row_here(happened) < policy.retry_attempts:
        return Try(pause_s, verdict.reason)
    return _give_up(code, verdict.reason, happened, retry_after_s=verdict.retry_after_s)


def _tries_in_a_row_here(happened: Sequence[Happening]) -> int:
    attempts = _tried(happened)[::-1]
    return sum(1 for _ in takewhile(lambda item: item.instance_url == attempts[0].instance_url, attempts))


def _look_pause_s(happened: Sequence[Happening], policy: SendPolicy) -> float:
    looks_in_a_row = sum(1 for _ in takewhile(lambda item: isinstance(item, Looked), reversed(happened)))
    return float(min(policy.look_pause_s * 2 ** (looks_in_a_row - 1), policy.look_pause_max_s))


def _out_of_time(happened: Sequence[Happening], reason: str) -> tuple[FailureCode, str]:
    last = happened[-1]
    if isinstance(last, Looked) and isinstance(last.finding, Waiting):
        return FailureCode.SESSION_NOT_READY, f"the deadline is over: {reason}"
    if isinstance(last, Attempt):
        return _code(last.verdict), f"the deadline is over: {reason}"
    return FailureCode.SESSION_UNREACHABLE, f"the deadline is over: {reason}"


def _code(verdict: Verdict) -> FailureCode:
    match verdict.kind:
        case VerdictKind.NOT_READY:
            return FailureCode.SESSION_NOT_READY
        case VerdictKind.THROTTLED:
            return FailureCode.THROTTLED
        case VerdictKind.OVERLOADED:
            return FailureCode.OVERLOADED
        case _:
            return FailureCode.SESSION_UNREACHABLE


def _give_up(
    code: FailureCode,
    reason: str,
    happened: Sequence[Happening],
    *,
    final: bool = False,
    retry_after_s: float | None = None,
) -> Finish:
    wait_s = 5.0 if retry_after_s is None else retry_after_s
    return Finish(NotSent(code, reason, _tries(happened), final, wait_s, _last_url(happened)))


def _ambiguous(happened: Sequence[Happening], then: str) -> str:
    left = [
        item.verdict.reason
        for at, item in enumerate(happened)
        if isinstance(item, Attempt) and _left(item, happened[at + 1 :])
    ]
    first = left[0] if left else "a gateway that died while it drove this message may have sent it"
    return first if first == then else f"{first}; afterwards: {then}"


def _tries(happened: Sequence[Happening]) -> int:
    return len(_tried(happened))


def _tried(happened: Sequence[Happening]) -> list[Attempt]:
    """The attempts at which an instance was asked."""
    return [item for item in happened if isinstance(item, Attempt) and item.was_made]


def _last_url(happened: Sequence[Happening]) -> InstanceUrl | None:
    return next((item.instance_url for item in reversed(happened) if isinstance(item, Attempt)), None)

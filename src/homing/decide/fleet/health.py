"""Is an instance well, in doubt, or gone?

What calls to it met counts at once, and so does what its heartbeat in the database says. Both can be our own fault: the
times when our own loop stood, or our database was slow, prove nothing against anybody. Silence makes an instance
suspect; that it is gone takes two witnesses (refused connections and an overdue heartbeat), a lease that ran out, or
the word of whoever supervises it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import assert_never

from homing.decide.fleet.leases import LeasePolicy
from homing.model.instances.health import (
    Beat,
    CallObservation,
    Gone,
    HealthHistory,
    HealthJudgment,
    HealthState,
    Local,
    Signal,
    Stall,
)
from homing.model.instances.leases import Ended, Incarnation
from homing.model.sends.faults import Phase


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When to doubt, and when to be sure. Times in seconds.

    A heartbeat is overdue after `overdue_factor` of its period: soon, because it is never the only witness.
    `answers_to_trust` in a row make an instance healthy again. Weak signals (broken calls, unanswered sends) count once
    `weak_count` of them span `weak_for_s` without an answer. An instance that holds no lease is called down after
    `unleased_count` strong ones in `unleased_for_s`. One that keeps its lease is given up if for `unanswering_for_s` it
    answered neither us nor, by its own word, any other gateway.
    """

    lease: LeasePolicy = field(default_factory=LeasePolicy)
    refused_apart_s: float = 0.2
    overdue_factor: float = 1.1
    answers_to_trust: int = 2
    weak_count: int = 3
    weak_for_s: float = 2.5
    unleased_count: int = 3
    unleased_for_s: float = 3.0
    unanswering_for_s: float = 4.0
    probe_timeout_s: float = 1.0
    stall_s: float = 0.25
    store_lag_max_s: float = 2.0

    @property
    def overdue_s(self) -> float:
        """The age from which on a heartbeat is overdue."""
        return self.lease.heartbeat_s * self.overdue_factor


KEPT = 128
THIN_S = 0.1
"""Of signals of one kind that come thicker than this, the first and the newest are kept."""
STALLS_KEPT = 32
_SOON_S = 0.05
_REFUSAL_TAKES_S = 0.1


# --- what calls tell ------------------------------------------------------------------------------------------


def signal_of(phase: Phase | None) -> Signal | None:
    """What a call that ended so (None: well) tells of the instance; None if it tells nothing.

    A fault of one session is still an answer of the instance that holds it.
    """
    match phase:
        case None:
            return Signal.ANSWERED
        case Phase.REFUSED:
            return Signal.REFUSED
        case Phase.CONNECT_TIMED_OUT | Phase.REPLY_TIMED_OUT | Phase.NAME_NOT_RESOLVED:
            return Signal.SILENT
        case Phase.CONNECT_BROKEN | Phase.INTERRUPTED | Phase.REPLY_MALFORMED | Phase.SERVER_ERROR:
            return Signal.BROKEN
        case Phase.BAD_GATEWAY | Phase.GATEWAY_TIMED_OUT | Phase.UNAVAILABLE:
            return Signal.BROKEN
        case Phase.SESSION_NOT_FOUND | Phase.SESSION_NOT_READY | Phase.SESSION_LOGGED_OUT | Phase.EPOCH_STALE:
            return Signal.ANSWERED
        case Phase.REQUEST_REJECTED | Phase.RECIPIENT_RESTRICTED | Phase.OUTCOME_UNKNOWN:
            return Signal.ANSWERED
        case Phase.UNAUTHORISED | Phase.UNLICENSED:
            return Signal.ANSWERED
        case Phase.PATH_NOT_FOUND | Phase.THROTTLED | Phase.MISDIRECTED:
            return None  # a proxy in front of it may have said so
        case Phase.NOT_ATTEMPTED:
            return None  # it was not asked
        case Phase.CUT_SHORT:
            return None  # the file may be to blame, or the way there
        case _:
            assert_never(phase)


def note(history: HealthHistory, seen: CallObservation) -> HealthHistory:
    """The history with one more observation. An answer makes what went wrong before it a thing of the past."""
    before = history.observed
    if seen.signal is Signal.ANSWERED:
        answered_before = [each for each in before[-1:] if each.signal is Signal.ANSWERED]
        return replace(history, observed=(*answered_before, seen))
    return replace(history, observed=(*_thinned(before, seen), seen)[-KEPT:])


def remember(history: HealthHistory, judged: HealthJudgment) -> HealthHistory:
    """The history with what was made of it."""
    if history.state is judged.state and history.unwell_since_s == judged.unwell_since_s:
        return history  # and `since_s` is what it was
    return replace(history, state=judged.state, since_s=judged.since_s, unwell_since_s=judged.unwell_since_s)


def ticked(
    stalls: tuple[Stall, ...], last_s: float, now_s: float, period_s: float, policy: HealthPolicy
) -> tuple[Stall, ...]:
    """The stalls of our loop, after a clock that should tick every `period_s` ticked at `last_s` and not until now."""
    if now_s - last_s - period_s < policy.stall_s:
        return stalls
    return (*stalls, Stall(last_s, now_s))[-STALLS_KEPT:]


def _thinned(before: tuple[CallObservation, ...], seen: CallObservation) -> tuple[CallObservation, ...]:
    same = [at for at, each in enumerate(before) if (each.signal, each.by_traffic) == (seen.signal, seen.by_traffic)]
    if len(same) < 2 or seen.at_s - before[same[-2]].at_s >= THIN_S:
        return before
    return before[: same[-1]] + before[same[-1] + 1 :]


# --- judging --------------------------------------------------------------------------------------------------


def judge(
    history: HealthHistory, beat: Beat | None, local: Local, now_s: float, policy: HealthPolicy
) -> HealthJudgment:
    """What the instance is now. `beat` is None for one that holds no lease: nothing can prove it gone."""
    counted = _counted(history.observed, beat, local, policy)
    failed = [each for each in counted if each.signal is not Signal.ANSWERED]
    gone = _gone(failed, beat, local, now_s, policy)
    if gone is not None:
        return _judged(history, HealthState.DOWN, gone[1], now_s, gone=gone[0])
    if beat is None and _unreachable(failed, policy):
        reason = f"{_met(failed, now_s)}; it holds no lease, so that nothing proves it gone"
        return _judged(history, HealthState.DOWN, reason, now_s)
    doubt = _doubt(failed, beat, local, now_s, policy)
    if doubt is not None:
        again_s = _look_again_s(failed, beat, now_s, policy)
        return _judged(history, HealthState.SUSPECT, doubt, now_s, look_again_s=again_s)
    answers = [each for each in counted if each.signal is Signal.ANSWERED]
    if history.state is HealthState.HEALTHY or len(answers) >= policy.answers_to_trust:
        return _judged(history, HealthState.HEALTHY, _well(answers, now_s), now_s)
    reason = f"nothing speaks against it now, but it has answered {len(answers)} of {policy.answers_to_trust} times"
    return _judged(history, HealthState.SUSPECT, reason, now_s)


def unsettled(local: Local, policy: HealthPolicy) -> str | None:
    """Why nobody may be taken for gone by a heartbeat, and nothing be granted, at present; None if all is steady.

    After the database, or we, came back, live holders get the time of one lease to renew first.
    """
    if local.store_lag_s > policy.store_lag_max_s:
        return f"our database takes {local.store_lag_s:.1f} s to answer"
    if local.store_steady_s < policy.lease.expiry_s:
        return (
            f"we have been reading heartbeats for {local.store_steady_s:.1f} s only,"
            f" and a lease runs for {policy.lease.expiry_s:g} s"
        )
    return None


def _judged(
    history: HealthHistory,
    state: HealthState,
    reason: str,
    now_s: float,
    *,
    gone: Gone | None = None,
    look_again_s: float | None = None,
) -> HealthJudgment:
    since_s = history.since_s if state is history.state else now_s
    unwell_since_s = None
    if state is not HealthState.HEALTHY:
        unwell_since_s = now_s if history.unwell_since_s is None else history.unwell_since_s
    return HealthJudgment(state, since_s, reason, gone, unwell_since_s, look_again_s)


def _counted(
    observed: Sequence[CallObservation], beat: Beat | None, local: Local, policy: HealthPolicy
) -> list[CallObservation]:
    """What was met with the present boot, at times when we were awake ourselves."""
    began_s = -inf if beat is None else beat.began_at_s
    return [each for each in observed if each.at_s > began_s and not _our_fault(each, local, policy)]


def _our_fault(seen: CallObservation, local: Local, policy: HealthPolicy) -> bool:
    if seen.signal is Signal.ANSWERED:
        return False
    took_s = _REFUSAL_TAKES_S if seen.signal is Signal.REFUSED else policy.probe_timeout_s + _REFUSAL_TAKES_S
    return any(stall.from_s <= seen.at_s and seen.at_s - took_s <= stall.until_s for stall in local.stalls)


def _gone(
    failed: Sequence[CallObservation], beat: Beat | None, local: Local, now_s: float, policy: HealthPolicy
) -> tuple[Gone, str] | None:
    if beat is None:
        return None
    boot = beat.incarnation
    match boot.ended:
        case Ended.EXITED:
            return Gone.EXITED, "whoever supervises it said that it exited"
        case Ended.LEFT:
            return Gone.EXITED, "it stopped in order"
        case None:
            pass
        case _:
            assert_never(boot.ended)
    if _unreadable(beat, local, now_s, policy) is not None:
        return None
    if boot.lease_left_s + local.store_lag_s <= 0:
        return Gone.LAPSED, f"its lease ran out {-boot.lease_left_s:.1f} s ago; it was renewed {_ago(beat)}"
    unanswering = _unanswering(failed, boot, now_s, policy)
    if unanswering is not None:
        return Gone.UNANSWERING, unanswering
    refused = _refused_twice(failed, policy)
    late_s = boot.renewed_ago_s - policy.overdue_s - local.store_lag_s
    if refused is None or late_s <= 0:
        return None
    return Gone.REFUSED, f"{refused}, and its heartbeat is {late_s:.2f} s overdue"


def _refused_twice(failed: Sequence[CallObservation], policy: HealthPolicy) -> str | None:
    refused = [each.at_s for each in failed if each.signal is Signal.REFUSED]
    if not refused or max(refused) - min(refused) < policy.refused_apart_s:
        return None
    return f"it refused connections twice, {max(refused) - min(refused):.2f} s apart"


def _unanswering(
    failed: Sequence[CallObservation], boot: Incarnation, now_s: float, policy: HealthPolicy
) -> str | None:
    """Only we cannot reach it, as long as it answers other gateways: no reason to take its sessions from it."""
    silent = _strong(failed)
    if len(silent) < 2 or boot.answered_ago_s is None or boot.answered_ago_s < policy.unanswering_for_s:
        return None
    silent_s = now_s - silent[0].at_s
    if silent_s < policy.unanswering_for_s:
        return None
    others = f"nor any gateway for {boot.answered_ago_s:.1f} s by its own word"
    return f"it has not answered us for {silent_s:.1f} s, {others}"


def _unreadable(beat: Beat, local: Local, now_s: float, policy: HealthPolicy) -> str | None:
    """Why nothing can be concluded from the heartbeat."""
    if now_s - beat.read_at_s > policy.store_lag_max_s:
        return f"its heartbeat was read {now_s - beat.read_at_s:.1f} s ago"
    return unsettled(local, policy)


def _strong(failed: Sequence[CallObservation]) -> list[CallObservation]:
    """What makes an instance suspect at once. A send may be slow because of one session; a probe may not."""
    return [
        each
        for each in failed
        if each.signal is Signal.REFUSED or (each.signal is Signal.SILENT and not each.by_traffic)
    ]


def _unreachable(failed: Sequence[CallObservation], policy: HealthPolicy) -> bool:
    strong = _strong(failed)
    return len(strong) >= policy.unleased_count and strong[-1].at_s - strong[0].at_s >= policy.unleased_for_s


def _doubt(
    failed: Sequence[CallObservation], beat: Beat | None, local: Local, now_s: float, policy: HealthPolicy
) -> str | None:
    worn_down = len(failed) >= policy.weak_count and failed[-1].at_s - failed[0].at_s >= policy.weak_for_s
    if _strong(failed) or worn_down:
        return f"{_met(failed, now_s)}; {_heart(beat, local, now_s, policy)}"
    if beat is None or _unreadable(beat, local, now_s, policy) is not None:
        return None
    if beat.incarnation.renewed_ago_s > policy.lease.self_fence_s + local.store_lag_s:
        return f"its heartbeat came {_ago(beat)}: it has paused itself"
    return None


def _look_again_s(
    failed: Sequence[CallObservation], beat: Beat | None, now_s: float, policy: HealthPolicy
) -> float | None:
    """When a refusal can be repeated, the heartbeat can be overdue, or the lease can have run out."""
    refused = [each.at_s for each in failed if each.signal is Signal.REFUSED]
    if refused and _refused_twice(failed, policy) is None:
        return max(_SOON_S, refused[0] + policy.refused_apart_s - now_s)
    if beat is None:
        return None
    left_s = policy.overdue_s - beat.incarnation.renewed_ago_s if refused else beat.incarnation.lease_left_s
    return max(_SOON_S, left_s - (now_s - beat.read_at_s))


# --- in words -------------------------------------------------------------------------------------------------


def _met(failed: Sequence[CallObservation], now_s: float) -> str:
    worst = next((each for each in reversed(failed) if each.signal is Signal.REFUSED), failed[-1])
    since_s = now_s - failed[0].at_s
    match worst.signal:
        case Signal.REFUSED:
            return f"it refuses connections, first {since_s:.1f} s ago"
        case Signal.SILENT:
            return f"it has not answered since {since_s:.1f} s ago"
        case _:
            return f"calls to it have been breaking off for {since_s:.1f} s"


def _heart(beat: Beat | None, local: Local, now_s: float, policy: HealthPolicy) -> str:
    if beat is None:
        return "it holds no lease"
    unreadable = _unreadable(beat, local, now_s, policy)
    if unreadable is not None:
        return f"its heartbeat proves nothing, because {unreadable}"
    return f"its heartbeat came {_ago(beat)}, and its lease has {beat.incarnation.lease_left_s:.1f} s to run"


def _well(answers: Sequence[CallObservation], now_s: float) -> str:
    return f"it answered {now_s - answers[-1].at_s:.1f} s ago" if answers else "nothing speaks against it"


def _ago(beat: Beat) -> str:
    return f"{beat.incarnation.renewed_ago_s:.1f} s ago"

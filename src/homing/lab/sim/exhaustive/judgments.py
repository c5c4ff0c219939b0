"""The product's own decisions, asked in the small numbers of the small world and remembered."""

from functools import cache

from homing.decide.fleet import leases
from homing.decide.fleet.leases import LeasePolicy, NotFenced
from homing.decide.sending import failures, recovery
from homing.decide.sending.recovery import Finish, SendPolicy, Try
from homing.lab.sim.exhaustive.nouns import NOT_SENT, UNKNOWN
from homing.model.fleet import Epoch, InstanceUrl, SessionId
from homing.model.instances.leases import Fence
from homing.model.instances.vault import Holder, SessionHolding
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Attempt, CannotRepeat, Found, Happening, Looked, NotSent

URLS = (InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001"))
SAFE, SILENCE, REJECTED, LOOKED, CANNOT_REPEAT = 1, 2, 3, 4, 5
"""What stands in a send's past. Of faults that all mean "nothing was done, look again" one stands for all."""
ALIKE = (Phase.REFUSED, Phase.SESSION_NOT_FOUND, Phase.SESSION_NOT_READY, Phase.EPOCH_STALE, Phase.UNAVAILABLE)
PHASES = {SAFE: Phase.SESSION_NOT_READY, SILENCE: Phase.REPLY_TIMED_OUT, REJECTED: Phase.RECIPIENT_RESTRICTED}
TRY, LOOK = 10, 11

_POLICY = SendPolicy()
_FAR_S = 1e9


@cache
def may_act(asked: int, self_fence: int) -> bool:
    """Whether an instance that asked for its last renewal so many ticks ago may act."""
    return leases.may_act(0.0, float(asked), LeasePolicy(self_fence_s=float(self_fence)))


@cache
def may_grant(held: bool, lease_left: int) -> bool:
    """Whether the vault's knowledge of a session's holder is proof enough to grant the session to another."""
    holder = Holder("a", "1") if held else None
    holding = SessionHolding(SessionId("s"), Epoch(1), holder, True, float(lease_left), holder_ended=False)
    return isinstance(leases.fence(holding), Fence)


@cache
def may_grant_foreign(stopped: bool, exited: bool) -> bool:
    """The same for a gateway that the vault does not know."""
    return not isinstance(leases.fence(None, stopped=stopped, exited=exited), NotFenced)


@cache
def may_open(epoch: int, stored: int, by_its_holder: bool) -> bool:
    """Whether the vault, which has the session at `stored`, opens it under this epoch."""
    one, other = Holder("a", "1"), Holder("b", "1")
    held_by = one if by_its_holder else other
    return isinstance(leases.epoch_to_open(epoch, one, stored=stored, held_by=held_by, recorded=0), int)


@cache
def next_step(past: tuple[int, ...], repeated: bool, chooses_id: bool, in_time: bool, silence_is_safe: bool) -> int:
    """TRY, LOOK, or how the send ends."""
    happened = _happened(past, chooses_id, silence_is_safe)
    deadline_s = _FAR_S if in_time else -_FAR_S
    step = recovery.next_step(happened, now_s=0.0, deadline_s=deadline_s, policy=_POLICY, repeated=repeated)
    match step:
        case Try():
            return TRY
        case Finish(outcome=NotSent()):
            return NOT_SENT
        case Finish():
            return UNKNOWN
        case _:
            return LOOK


@cache
def must_not_repeat(past: tuple[int, ...], repeated: bool, chooses_id: bool) -> bool:
    return recovery.must_not_repeat(_happened(past, chooses_id, False), repeated, chooses_id=chooses_id)


def _happened(past: tuple[int, ...], chooses_id: bool, silence_is_safe: bool) -> list[Happening]:
    return [_happening(code, chooses_id, silence_is_safe) for code in past]


def _happening(code: int, chooses_id: bool, silence_is_safe: bool) -> Happening:
    if code == CANNOT_REPEAT:
        return CannotRepeat(URLS[0], 0.0)
    if code == LOOKED:
        return Looked(Found(URLS[0], Epoch(1), moved=True, reason="looked"), 0.0)
    fault = Fault(PHASES[code])
    safe = silence_is_safe and code == SILENCE
    verdict = failures.before_sending(fault) if safe else failures.classify(fault)
    return Attempt(URLS[0], Epoch(1), fault, verdict, chooses_id, 0.0)

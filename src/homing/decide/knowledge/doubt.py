"""Is a session that its instance calls connected dead all the same, and may it be restarted where it is?

A send that fails for a reason of the session's own is evidence. What says more of the network, of the instance as a
whole, of the message or of ourselves is none.
"""

from dataclasses import dataclass
from typing import assert_never

from homing.decide.moves import rules
from homing.model.fleet import Account, Capabilities, InstanceMode, InstanceUrl, ListedSession, PlacementState, Takeover
from homing.model.sends.faults import Phase

RESTART_EVERY_S = 1_800.0
"""A session is restarted for this reason at most once in this time, whichever gateway sees it."""


@dataclass(frozen=True, slots=True)
class NoDoubt:
    """What failed is explained otherwise."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The session is to be looked after. `restart`: it may be closed and opened where it is held."""

    restart: bool
    reason: str


def speaks_of_session(phase: Phase, *, with_file: bool = False) -> bool:
    """Whether a send that ended so tells something of its session. A file that takes its time tells of itself: to
    restart the session for it would break off the others that are on their way."""
    match phase:
        case Phase.SERVER_ERROR | Phase.SESSION_NOT_READY:
            return True
        case Phase.REPLY_TIMED_OUT | Phase.GATEWAY_TIMED_OUT:
            return not with_file
        case Phase.NOT_ATTEMPTED | Phase.CUT_SHORT:
            return False
        case Phase.NAME_NOT_RESOLVED | Phase.REFUSED | Phase.CONNECT_TIMED_OUT | Phase.CONNECT_BROKEN:
            return False
        case Phase.INTERRUPTED | Phase.REPLY_MALFORMED | Phase.BAD_GATEWAY | Phase.UNAVAILABLE:
            return False
        case Phase.SESSION_NOT_FOUND | Phase.PATH_NOT_FOUND | Phase.SESSION_LOGGED_OUT | Phase.EPOCH_STALE:
            return False
        case Phase.REQUEST_REJECTED | Phase.RECIPIENT_RESTRICTED | Phase.OUTCOME_UNKNOWN | Phase.THROTTLED:
            return False
        case Phase.UNAUTHORISED | Phase.UNLICENSED | Phase.MISDIRECTED:
            return False
        case _:
            assert_never(phase)


def judge(
    account: Account,
    url: InstanceUrl,
    row: ListedSession | None,
    *,
    failed: int,
    last: str,
    can: Capabilities | None,
    mode: InstanceMode,
) -> NoDoubt | Doubtful:
    """What `failed` sends in a row through the instance mean, beside the session's row in its list, read afterwards."""
    placement = account.placement
    if placement.instance_url != url or placement.state is not PlacementState.HELD:
        return NoDoubt(f"it is not at {url} any more")
    if row is None or not row.can_send:
        return NoDoubt(f"{url} itself does not call it connected")
    seen = f"{url} calls it connected, and {failed} sends in a row failed, the last one with {last}"
    why_not = cannot_restart(account, can, mode)
    return Doubtful(True, seen) if why_not is None else Doubtful(False, f"{seen}; {why_not}")


def cannot_restart(account: Account, can: Capabilities | None, mode: InstanceMode) -> str | None:
    """Why the session is not closed and opened where it is held without anybody asking; None if it may be."""
    if mode is InstanceMode.OBSERVE:
        return "the instance is only observed"
    if account.takeover is Takeover.NEVER:
        return rules.NEVER
    if (aside := rules.not_running(account.status)) is not None:
        return aside
    if can is None or not can.stop_keeps_login:
        return "to stop it there may end its login"
    return None

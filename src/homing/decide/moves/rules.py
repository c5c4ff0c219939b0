"""Which sessions may be started on another instance, at whose wish, in which order, and which may not, and why?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from homing.model.fleet import InstanceUrl, PlacementState, SessionId, SessionStatus, Takeover

NEVER = "its takeover is set to never"
"""Why nobody touches a session unless a person insists."""


class MoveWish(StrEnum):
    """Why a session is to live elsewhere."""

    LOST = "lost"
    """Its instance is gone."""
    OPERATOR = "operator"
    """A person named this session."""
    DRAIN = "drain"
    """Its instance is to be emptied."""
    BALANCE = "balance"
    """Its instance has more than its share."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A session on its instance, with all that speaks for or against moving it.

    `idle_s` is since when nothing was said; None where nobody knows, which counts as busy. `moves_today` is how often
    it was moved within the last 24 hours.
    """

    session_id: SessionId
    instance_url: InstanceUrl
    status: SessionStatus = SessionStatus.CONNECTED
    takeover: Takeover = Takeover.AUTO
    requires: Mapping[str, str] = field(default_factory=dict)
    idle_s: float | None = None
    moves_today: int = 0
    sends_per_s: float = 0.0
    state: PlacementState = PlacementState.HELD
    shares_credentials: bool = True
    """Whether its engine keeps its login where another instance can open it."""


@dataclass(frozen=True, slots=True)
class MovePolicy:
    """Bounds of moves. `moves_per_day` holds for what merely balances: it never keeps a session on a dead instance."""

    moves_per_day: int = 3
    take_back_again_after_s: float = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class StaysPut:
    """The session stays, and this is why."""

    session_id: SessionId
    reason: str


def may_move(session: Resident, wish: MoveWish, policy: MovePolicy, *, forced: bool = False) -> StaysPut | None:
    """Why the session is not moved; None if it may be. `forced`: a person insists, and answers for it."""
    why = not_running(session.status) or _not_possible(session)
    if why is None and not forced:
        why = _not_wanted(session, wish, policy)
    return None if why is None else StaysPut(session.session_id, why)


@dataclass(frozen=True, slots=True)
class AtRest:
    """Why a session should run nowhere, and what a person does before it is brought anywhere."""

    why: str
    first: str


def not_running(status: SessionStatus) -> str | None:
    """Why a session of this status should run nowhere; None if it should."""
    rest = at_rest(status)
    return rest.why if rest is not None else None


def at_rest(status: SessionStatus) -> AtRest | None:
    """The one table of it: what judges, the API and the page take their words from here."""
    match status:
        case SessionStatus.LOGGED_OUT:
            return AtRest("it is logged out: its phone has to be linked again", "start it and link it first")
        case SessionStatus.PAIRING:
            return AtRest("it waits for its phone to be linked", "link it first")
        case SessionStatus.STOPPED:
            return AtRest("it was stopped by request", "start it first")
        case SessionStatus.QUARANTINED:
            why = "it is in quarantine: a stranger uses its login, and an operator has to start it again"
            return AtRest(why, "end that device in the phone's list of linked devices first")
        case (
            SessionStatus.CONNECTED
            | SessionStatus.STARTING
            | SessionStatus.DISCONNECTED
            | SessionStatus.FAILED
            | SessionStatus.UNKNOWN
        ):
            return None
        case _:
            assert_never(status)


def _not_possible(session: Resident) -> str | None:
    if not session.shares_credentials:
        return "its engine keeps the login to itself: elsewhere its phone would have to be linked again"
    return None


def _not_wanted(session: Resident, wish: MoveWish, policy: MovePolicy) -> str | None:
    if session.takeover is Takeover.NEVER:
        return NEVER
    match wish:
        case MoveWish.LOST if session.takeover is Takeover.MANUAL:
            return "its takeover is set to manual: an operator has to ask for it"
        case MoveWish.LOST | MoveWish.OPERATOR | MoveWish.DRAIN:
            return None
        case MoveWish.BALANCE:
            return _better_left(session, policy)
        case _:
            assert_never(wish)


def _better_left(session: Resident, policy: MovePolicy) -> str | None:
    if session.state is PlacementState.MOVING:
        return "it is on its way already"
    if session.status is not SessionStatus.CONNECTED:
        return f"it is not connected ({session.status.value})"
    if session.moves_today >= policy.moves_per_day:
        return f"it was moved {session.moves_today} times today, of {policy.moves_per_day} that are allowed"
    return None


def idle_first(sessions: Sequence[Resident]) -> list[Resident]:
    """In the order in which to move them: the longest idle first, those in use last."""
    return sorted(sessions, key=lambda each: (-(each.idle_s or 0.0), each.session_id))


# --- a stranger took the session ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Grant it anew to the instance of the record, once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Leave it to the stranger, tell an operator, and do not start it again."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeaveIt:
    """It was not ours to lose."""

    reason: str


def take_back(
    *, is_ours: bool, taken_back_at_s: float | None, now_s: float, policy: MovePolicy
) -> TakeBack | Quarantine | LeaveIt:
    """What to do after WhatsApp replaced the session's connection by another one.

    `is_ours`: the record still names the instance that lost it, at that epoch. `taken_back_at_s`: when it was last
    taken back. Two that replace each other in turn would go on for ever, and cost the account.
    """
    if not is_ours:
        return LeaveIt("it was replaced by its next holder: our record names another instance or a later epoch")
    ago_s = None if taken_back_at_s is None else now_s - taken_back_at_s
    if ago_s is None or ago_s >= policy.take_back_again_after_s:
        return TakeBack("a stranger replaced it, for the first time: it is ours by the record")
    return Quarantine(f"a stranger replaced it again, {ago_s:.0f} s after it was taken back")

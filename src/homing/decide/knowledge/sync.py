"""What does a look at the whole fleet say about each session, and what should change?

The unit is the instance, not the session: one list against all that the directory has placed there. What agrees is
verified at once; only what is missing, strange or in doubt is judged one by one, with every claim in hand.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from homing.decide.knowledge import reconcile
from homing.decide.knowledge.reconcile import (
    Absent,
    AtHome,
    ComingUp,
    Contested,
    Judgement,
    Observations,
    PlacedElsewhere,
    SetAside,
    Unlinked,
)
from homing.model.fleet import (
    InstanceUrl,
    Listing,
    NoList,
    Placed,
    PlacementState,
    Rebinding,
    Route,
    SessionId,
    SessionList,
    SessionStatus,
)

FRESH_FOR = timedelta(minutes=1)
"""What was verified this recently is skipped, unless forced."""


class SyncResult(StrEnum):
    """What became of one session in a sync.

    `failed`: every instance answered and none can send for it. `unreachable`: its instance did not answer, or another
    that might have it, and nobody who did answer has it. `skipped`: seen a moment ago, changing at this moment, or new
    and never paired.
    """

    VERIFIED = "verified"
    UPDATED = "updated"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Checked:
    """One session's result, with the change that it calls for and the instances that hold it besides the one."""

    account_id: int
    phone: str
    session_id: SessionId
    old_url: InstanceUrl | None
    result: SyncResult
    reason: str
    change: Rebinding | None = None
    rivals: tuple[InstanceUrl, ...] = ()
    status: SessionStatus | None = None
    """What the record should say of it from now on, where that is not what it says."""
    state: PlacementState = PlacementState.HELD

    @property
    def new_url(self) -> InstanceUrl | None:
        return self.change.instance_url if self.change is not None else self.old_url


@dataclass(frozen=True, slots=True)
class Comparison:
    """One instance's list against the directory's record of it.

    `verified` and `fresh` agree with the list, or were verified so recently that a silent list does not matter;
    `strangers` are listed here and recorded elsewhere, or nowhere.
    """

    verified: list[Placed]
    fresh: list[Placed]
    doubtful: list[Placed]
    strangers: frozenset[SessionId]


def compare(placed: Collection[Placed], listing: Listing, *, now: datetime, force: bool) -> Comparison:
    """What agrees, what need not be looked at, and what must be judged with the other lists in hand.

    A session verified a moment ago is not looked at again, unless the list contradicts the record.
    """
    listed = listing.sessions if isinstance(listing, SessionList) else {}
    found = Comparison([], [], [], frozenset(listed.keys() - {session.session_id for session in placed}))
    for session in placed:
        row = listed.get(session.session_id)
        agrees = row is not None and row.can_send and (row.epoch is None or row.epoch <= session.epoch)
        contradicted = row is None and isinstance(listing, SessionList)
        if not force and not contradicted and _is_fresh(session, now):
            found.fresh.append(session)
        elif agrees:
            found.verified.append(session)
        else:
            found.doubtful.append(session)
    return found


def _is_fresh(session: Placed, now: datetime) -> bool:
    return session.verified_at is not None and now - session.verified_at < FRESH_FOR


def conclude(route: Route, observed: Observations, *, seen_before: bool) -> Checked:
    """One doubtful session, judged. `seen_before`: an earlier look said the same, so that it is no passing state."""
    judgement = reconcile.judge(
        route.placement, observed, quarantined=route.quarantined, known=route.linking, owner=route.workspace_id
    )
    result, reason, change = _concluded(route, judgement, observed, seen_before)
    return Checked(
        account_id=route.account_id,
        phone=route.phone,
        session_id=route.session_id,
        old_url=route.placement.instance_url,
        result=result,
        reason=reason,
        change=change,
        rivals=_rivals(judgement),
        status=_to_be_noted(route, judgement),
        state=route.placement.state,
    )


def passing(route: Route, observed: Observations) -> bool:
    """Whether the record's own instance still lists the session, in a state that may pass: such is seen twice."""
    home = route.placement.instance_url
    row = observed.claims.get(route.session_id, {}).get(home) if home is not None else None
    return row is not None and not row.can_send


def _concluded(
    route: Route, judgement: Judgement, observed: Observations, seen_before: bool
) -> tuple[SyncResult, str, Rebinding | None]:
    match judgement:
        case AtHome(reason=reason):
            return SyncResult.VERIFIED, reason, None
        case PlacedElsewhere(change=change) if passing(route, observed) and not seen_before:
            return SyncResult.SKIPPED, f"{change.reason}: to be seen once more before it counts", None
        case PlacedElsewhere(change=change):
            return SyncResult.UPDATED, change.reason, change
        case ComingUp(url=url, reason=reason):
            at_home = url == route.placement.instance_url
            return SyncResult.VERIFIED if at_home else SyncResult.SKIPPED, reason, None
        case Unlinked(never_linked=True, reason=reason):
            return SyncResult.SKIPPED, reason, None
        case Unlinked(reason=reason) | Contested(reason=reason):
            return SyncResult.FAILED, reason, None
        case SetAside(reason=reason):
            return SyncResult.SKIPPED, reason, None
        case Absent(silent=silent, reason=reason):
            return SyncResult.UNREACHABLE if silent else SyncResult.FAILED, reason, None
        case _:
            assert_never(judgement)


def _to_be_noted(route: Route, judgement: Judgement) -> SessionStatus | None:
    """A logout that nobody followed, and one that has passed: its session is on no list of those that should run."""
    match judgement:
        case Unlinked(status=SessionStatus.LOGGED_OUT) if route.status.should_run:
            return SessionStatus.LOGGED_OUT
        case AtHome() if route.status is SessionStatus.LOGGED_OUT:
            return SessionStatus.CONNECTED
        case _:
            return None


def _rivals(judgement: Judgement) -> tuple[InstanceUrl, ...]:
    match judgement:
        case AtHome(rivals=rivals) | PlacedElsewhere(rivals=rivals):
            return rivals
        case Contested(claimants=claimants):
            return claimants
        case _:
            return ()


def narrowed(listing: Listing, sessions: Collection[SessionId]) -> Listing:
    """A list without what is agreed upon: most of a million rows need not be held until the end."""
    match listing:
        case NoList():
            return listing
        case SessionList(instance_url=url, oddities=oddities):
            return SessionList(url, {s: row for s in sessions if (row := listing.sessions.get(s))}, oddities)


ATTENTION = frozenset({SyncResult.FAILED, SyncResult.UNREACHABLE})
"""Results that a person should look at."""

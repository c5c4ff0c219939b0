"""Who may be moved, in which order, and what becomes of a session that a stranger took."""

from dataclasses import replace

import pytest

from homing.decide.moves import movable
from homing.decide.moves.rules import (
    LeaveIt,
    MovePolicy,
    MoveWish,
    Quarantine,
    Resident,
    TakeBack,
    idle_first,
    may_move,
    take_back,
)
from homing.model.fleet import Capabilities, InstanceUrl, PlacementState, SessionId, SessionStatus, Takeover
from homing.model.instances.gateways import Traits

POLICY = MovePolicy()
S = Resident(SessionId("s"), InstanceUrl("http://a:1"))
LOST, OPERATOR, DRAIN, BALANCE = MoveWish.LOST, MoveWish.OPERATOR, MoveWish.DRAIN, MoveWish.BALANCE


def why(session: Resident, wish: MoveWish, *, forced: bool = False) -> str | None:
    kept = may_move(session, wish, POLICY, forced=forced)
    return None if kept is None else kept.reason


@pytest.mark.parametrize("wish", list(MoveWish))
def test_a_connected_session_may_be_moved_at_any_wish(wish: MoveWish) -> None:
    assert why(S, wish) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (SessionStatus.LOGGED_OUT, "it is logged out: its phone has to be linked again"),
        (SessionStatus.PAIRING, "it waits for its phone to be linked"),
        (SessionStatus.STOPPED, "it was stopped by request"),
        (
            SessionStatus.QUARANTINED,
            "it is in quarantine: a stranger uses its login, and an operator has to start it again",
        ),
    ],
)
@pytest.mark.parametrize("wish", list(MoveWish))
def test_what_does_not_run_is_not_moved_even_by_force(status: SessionStatus, reason: str, wish: MoveWish) -> None:
    assert why(replace(S, status=status), wish, forced=True) == reason


@pytest.mark.parametrize(
    ("takeover", "refused"),
    [
        (Takeover.AUTO, set()),
        (Takeover.MANUAL, {LOST}),
        (Takeover.NEVER, {LOST, OPERATOR, DRAIN, BALANCE}),
    ],
)
def test_takeover_says_at_whose_wish(takeover: Takeover, refused: set[MoveWish]) -> None:
    session = replace(S, takeover=takeover)
    assert {wish for wish in MoveWish if why(session, wish) is not None} == refused
    assert all(why(session, wish, forced=True) is None for wish in MoveWish)


def test_a_login_that_its_engine_keeps_to_itself_cannot_be_opened_elsewhere() -> None:
    kept = why(replace(S, shares_credentials=False), LOST, forced=True)
    assert kept == "its engine keeps the login to itself: elsewhere its phone would have to be linked again"


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (replace(S, moves_today=3), "it was moved 3 times today, of 3 that are allowed"),
        (replace(S, status=SessionStatus.DISCONNECTED), "it is not connected (disconnected)"),
        (replace(S, state=PlacementState.MOVING), "it is on its way already"),
    ],
)
def test_balance_alone_is_no_reason_to_disturb(session: Resident, reason: str) -> None:
    assert why(session, BALANCE) == reason
    assert all(why(session, wish) is None for wish in (LOST, OPERATOR, DRAIN))


def test_the_longest_idle_go_first_and_those_of_whom_nobody_knows_last() -> None:
    sessions = [
        replace(S, session_id=SessionId(name), idle_s=idle_s)
        for name, idle_s in [("busy", 0.1), ("b", None), ("asleep", 900.0), ("a", None), ("quiet", 60.0)]
    ]
    assert [each.session_id for each in idle_first(sessions)] == ["asleep", "quiet", "busy", "a", "b"]
    assert idle_first(sessions[::-1]) == idle_first(sessions)


def test_a_stranger_is_answered_once_a_day_and_then_not_again() -> None:
    def after(ago_s: float | None, is_ours: bool = True) -> TakeBack | Quarantine | LeaveIt:
        at_s = None if ago_s is None else 1e6 - ago_s
        return take_back(is_ours=is_ours, taken_back_at_s=at_s, now_s=1e6, policy=POLICY)

    assert isinstance(after(None), TakeBack)
    assert after(40.0) == Quarantine("a stranger replaced it again, 40 s after it was taken back")
    assert isinstance(after(86_399.0), Quarantine)
    assert isinstance(after(86_400.0), TakeBack)
    assert isinstance(after(None, is_ours=False), LeaveIt)


@pytest.mark.parametrize("wanted", list(Takeover))
def test_no_family_is_taken_over_more_readily_than_it_allows(wanted: Takeover) -> None:
    assert movable.takeover(wanted, Traits("ours", takeover=Takeover.AUTO)) is wanted
    assert movable.takeover(wanted, Traits("WAHA")) is (Takeover.MANUAL if wanted is Takeover.AUTO else wanted)
    assert movable.takeover(wanted, Traits("GOWA", takeover=Takeover.NEVER)) is Takeover.NEVER


def test_a_login_is_shared_on_a_storage_by_a_family_that_can_let_go_of_it() -> None:
    keeps = Capabilities(stop_keeps_login=True)
    assert movable.cannot_share(Traits("WAHA"), "nas-1", keeps) is None
    assert "own disk alone" in (movable.cannot_share(Traits("WAHA"), None, keeps) or "")
    assert "Evolution" in (movable.cannot_share(Traits("Evolution API"), "nas-1", Capabilities()) or "")
    never = Traits("wuzapi", takeover=Takeover.NEVER)
    assert "nothing of wuzapi" in (movable.cannot_share(never, "nas-1", keeps) or "")

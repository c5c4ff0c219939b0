"""Which missing sessions are started, which wait, which are left alone: the rules as a table."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from homing.decide.starting import restoring
from homing.decide.starting.restoring import (
    Blocked,
    LeaveAlone,
    Present,
    RestoringPolicy,
    StartAgain,
    Vanished,
    Verdict,
    Wait,
)
from homing.model.fleet import (
    Epoch,
    Instance,
    InstanceMode,
    InstanceUrl,
    Placement,
    PlacementState,
    SessionId,
    SessionStatus,
    WorkspaceId,
)
from homing.model.instances.restoring import Answered, Look, Offered, Recorded, Silent

A, B, C = (InstanceUrl(f"http://{name}:3001") for name in "abc")
ON_A = Instance(1, A)
POLICY = RestoringPolicy()
HOUR = 3600.0


def session(number: int = 1, **changes: object) -> Recorded:
    """One that was connected ten minutes ago, on A."""
    name = SessionId(f"session-{number}")
    recorded = Recorded(name, number, WorkspaceId(1), Placement(name, A, Epoch(3)), SessionStatus.CONNECTED, 600.0)
    return replace(recorded, **changes)  # type: ignore[arg-type]


def a(*has: Recorded, uptime_s: float | None = 60.0, refused_ago_s: float | None = None) -> Answered:
    return Answered(A, {each.session_id: SessionStatus.CONNECTED for each in has}, uptime_s, refused_ago_s)


def b(*has: Recorded) -> Answered:
    return Answered(B, {each.session_id: SessionStatus.CONNECTED for each in has}, HOUR)


ONE, TWO = session(1), session(2)


def judged(one: Recorded, *looks: Look, home: Instance = ON_A, beside: tuple[Recorded, ...] = (TWO,)) -> Verdict:
    by_url: Mapping[InstanceUrl, Look] = {look.url: look for look in looks}
    return restoring.judge(one, home, by_url, [one, *beside], POLICY)


def test_a_session_whose_process_began_anew_and_that_nobody_has_is_started() -> None:
    verdict = judged(ONE, a(), b())
    assert isinstance(verdict, StartAgain)
    assert "began after it was last seen" in verdict.reason


@pytest.mark.parametrize(
    ("why", "one"),
    [
        ("never connected", session(seen_ago_s=None)),
        ("stopped", session(status=SessionStatus.STOPPED)),
        ("logged out", session(status=SessionStatus.LOGGED_OUT)),
        ("quarantine", session(status=SessionStatus.QUARANTINED)),
        ("linked", session(status=SessionStatus.PAIRING)),
        ("on its way", session(placement=Placement(ONE.session_id, A, Epoch(3), PlacementState.MOVING))),
        ("vault", session(in_vault=True)),
    ],
)
def test_what_is_not_meant_to_be_started_is_left_alone(why: str, one: Recorded) -> None:
    verdict = judged(one, a(), b())
    assert isinstance(verdict, LeaveAlone)
    assert why in verdict.reason


def test_nothing_is_started_on_an_instance_that_is_only_observed() -> None:
    verdict = judged(ONE, a(), home=replace(ON_A, mode=InstanceMode.OBSERVE))
    assert isinstance(verdict, LeaveAlone)
    assert "observed" in verdict.reason


def test_what_its_instance_has_is_there_whatever_its_status() -> None:
    look = Answered(A, {ONE.session_id: SessionStatus.PAIRING}, 60.0)
    assert isinstance(judged(ONE, look, b()), Present)


def test_what_another_instance_has_is_not_started_a_second_time() -> None:
    verdict = judged(ONE, a(), b(ONE))
    assert isinstance(verdict, LeaveAlone)
    assert B in verdict.reason


@pytest.mark.parametrize("look", [Silent(A, "timed out"), Silent(A, "refused", exited=True), None])
def test_of_an_instance_that_gives_no_list_nothing_is_known(look: Look | None) -> None:
    assert isinstance(judged(ONE, *([look] if look else []), b()), LeaveAlone)


# --- whether the process began anew -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "look", "beside", "expected"),
    [
        ("it runs since long before it was seen", a(TWO, uptime_s=HOUR), (TWO,), Vanished),
        ("nobody else is placed there, and it runs on", a(uptime_s=HOUR), (), Vanished),
        ("it runs on, and lost all of several at once", a(uptime_s=HOUR), (TWO,), StartAgain),
        ("it began just before it was seen, by clocks that differ", a(uptime_s=603.0), (), StartAgain),
        ("it began just before it was seen, and has others", a(TWO, uptime_s=603.0), (TWO,), Vanished),
        ("it tells no age, refused since, and has others", a(TWO, uptime_s=None, refused_ago_s=30), (TWO,), StartAgain),
        ("it tells no age, refused before", a(TWO, uptime_s=None, refused_ago_s=700.0), (TWO,), Vanished),
        ("it tells no age, never refused, and has nothing", a(uptime_s=None), (TWO,), StartAgain),
        ("it tells no age, and has others", a(TWO, uptime_s=None), (TWO,), Vanished),
    ],
)
def test_a_session_that_vanishes_from_a_living_process_is_not_started(
    why: str, look: Answered, beside: tuple[Recorded, ...], expected: type[Verdict]
) -> None:
    assert isinstance(judged(ONE, look, b(), beside=beside), expected), why


def test_a_start_of_ours_that_did_not_come_up_is_repeated_after_a_while() -> None:
    started = session(started_ago_s=100.0)
    verdict = judged(started, a(TWO, uptime_s=HOUR), b())
    assert isinstance(verdict, Wait)
    assert verdict.after_s == POLICY.again_after_s - 100.0
    later = session(started_ago_s=POLICY.again_after_s)
    assert isinstance(judged(later, a(TWO, uptime_s=HOUR), b()), StartAgain)


def test_a_start_that_came_up_is_not_waited_for() -> None:
    """By clocks that may differ the process is no younger than the start; but it was seen in between."""
    assert isinstance(judged(session(started_ago_s=14.0, seen_ago_s=13.0), a(uptime_s=11.0), b()), StartAgain)


def test_a_start_that_died_with_its_process_is_not_waited_for() -> None:
    assert isinstance(judged(session(started_ago_s=100.0), a(uptime_s=60.0), b()), StartAgain)


# --- what it was handed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "offered", "expected"),
    [
        ("its turn comes in 130 s", Offered(A, 50.0, 3), Wait(130.0, "")),
        ("its turn has passed", Offered(A, 59.0, 1), Wait(1.0, "")),
        ("it was handed to the process before", Offered(A, 70.0, 3), StartAgain("")),
        ("it was handed to a process that runs elsewhere", Offered(B, 100.0, 3), Wait(80.0, "")),
        ("it was handed to an instance that could not hold it", Offered(C, 100.0, 3), StartAgain("")),
    ],
)
def test_what_a_process_was_handed_it_may_restore_yet(why: str, offered: Offered, expected: Verdict) -> None:
    verdict = judged(session(offered=offered), a(), b())
    assert type(verdict) is type(expected), why
    if isinstance(verdict, Wait) and isinstance(expected, Wait):
        assert verdict.after_s == expected.after_s


def test_when_its_turn_to_be_restored_has_passed_it_is_started() -> None:
    one = session(offered=Offered(A, 181.0, 3))
    assert isinstance(judged(one, a(uptime_s=185.0), b()), StartAgain)


def test_a_queue_that_is_slower_than_it_should_be_is_waited_for() -> None:
    first = session(1, offered=Offered(A, 181.0, 1))
    one = session(2, offered=Offered(A, 181.0, 3))
    coming_up = Answered(A, {first.session_id: SessionStatus.STARTING}, 185.0)
    verdict = judged(one, coming_up, b(), beside=(first,))
    assert isinstance(verdict, Wait)
    assert first.session_id in verdict.reason


def test_what_a_silent_process_was_handed_counts_unless_it_exited() -> None:
    one = session(offered=Offered(B, 100.0, 3))
    assert isinstance(judged(one, a(), Silent(B, "timed out")), Wait)
    assert isinstance(judged(one, a(), Silent(B, "refused", exited=True)), StartAgain)


def test_a_process_that_restores_what_we_did_not_hand_it_is_left_to_it() -> None:
    verdict = judged(ONE, a(TWO), b())
    assert isinstance(verdict, Wait)
    assert TWO.session_id in verdict.reason
    handed = session(2, offered=Offered(A, 58.0, 1))
    assert isinstance(judged(ONE, a(handed), b(), beside=(handed,)), StartAgain)


def test_a_process_that_only_just_began_is_left_time_to_ask() -> None:
    verdict = judged(ONE, a(uptime_s=4.0), b())
    assert verdict == Wait(6.0, verdict.reason)  # type: ignore[union-attr]


# --- who could have it ------------------------------------------------------------------------------------------


def test_an_instance_that_could_have_it_and_gave_no_list_blocks_its_start() -> None:
    verdict = judged(ONE, a(), Silent(B, "it timed out"))
    assert isinstance(verdict, Blocked)
    assert B in verdict.reason
    assert "it timed out" in verdict.reason
    assert isinstance(judged(ONE, a(), Silent(B, "refused", exited=True)), StartAgain), "no process of it runs"


def test_who_could_have_it_shares_its_storage_or_is_of_its_family() -> None:
    fleet = [ON_A, Instance(2, B), Instance(3, C, driver="other")]
    assert restoring.could_hold(ON_A, fleet, leased=()) == [A, B]
    assert restoring.could_hold(ON_A, fleet, leased=[B]) == [A], "it opens the vault and no disk"
    shared = replace(ON_A, storage="nfs")
    sharing = [shared, Instance(2, B, storage="nfs"), Instance(3, C, storage="other"), Instance(4, InstanceUrl("d"))]
    assert restoring.could_hold(shared, sharing, leased=()) == [A, B]


# --- the last word ------------------------------------------------------------------------------------------------


def last_word(one: Recorded, *looks: Look, first: bool) -> Verdict:
    return restoring.may_open(one, A, {look.url: look for look in looks}, POLICY, first=first)


def test_the_list_is_read_again_just_before_a_start() -> None:
    assert isinstance(last_word(ONE, a(), b(), first=True), StartAgain)
    assert isinstance(last_word(ONE, a(ONE), b(), first=True), Present)
    assert isinstance(last_word(ONE, a(), b(ONE), first=True), LeaveAlone)
    assert isinstance(last_word(ONE, a(), Silent(B, "timed out"), first=True), Blocked)
    assert isinstance(last_word(ONE, Silent(A, "timed out"), b(), first=True), Blocked)
    assert isinstance(last_word(session(offered=Offered(A, 5.0, 2)), a(), b(), first=True), Wait)


def test_a_start_without_an_answer_is_not_repeated_while_it_may_still_come_about() -> None:
    told = session(started_ago_s=20.0)
    verdict = last_word(told, a(uptime_s=HOUR), b(), first=False)
    assert isinstance(verdict, Wait)
    assert verdict.after_s == POLICY.unanswered_s - 20.0
    assert isinstance(last_word(session(started_ago_s=80.0), a(uptime_s=HOUR), b(), first=False), StartAgain)
    assert isinstance(last_word(told, a(uptime_s=10.0), b(), first=False), StartAgain), (
        "the process that was told is gone"
    )


def test_only_so_many_are_opened_on_an_instance_at_a_time() -> None:
    verdicts: dict[SessionId, Verdict] = {
        SessionId("1"): StartAgain("x"),
        SessionId("2"): LeaveAlone("y"),
        SessionId("3"): StartAgain("x"),
        SessionId("4"): StartAgain("x"),
    }
    turned = restoring.in_turn(verdicts, 0, POLICY)
    assert [type(each) for each in turned.values()] == [StartAgain, LeaveAlone, StartAgain, Wait]
    assert [type(each) for each in restoring.in_turn(verdicts, 2, POLICY).values()] == [Wait, LeaveAlone, Wait, Wait]


# --- an operator's start of what waits in a queue ---------------------------------------------------------------


def queued(number: int, place: int, ago_s: float = 20.0) -> Recorded:
    return session(number, offered=Offered(A, ago_s, place))


def test_a_start_by_hand_waits_for_the_turn_that_comes_by_itself() -> None:
    first, last = queued(1, 1), queued(2, 2)
    turn = restoring.turn_in_queue(last, a(first, uptime_s=21.0), [first, last], POLICY)
    assert isinstance(turn, Wait)
    assert "number 2 of its queue" in turn.reason


@pytest.mark.parametrize(
    ("one", "look"),
    [
        (queued(1, 1), a(queued(2, 2), uptime_s=21.0)),
        (queued(1, 1), a(queued(1, 1), uptime_s=21.0)),
        (queued(1, 1, ago_s=600.0), a(uptime_s=21.0)),
        (session(1), a(uptime_s=21.0)),
        (session(1, offered=Offered(B, 20.0, 1)), a(uptime_s=21.0)),
    ],
    ids=["the next one had its turn", "it is listed", "the process began anew since", "not handed out", "to another"],
)
def test_a_start_by_hand_goes_on_where_no_turn_comes(one: Recorded, look: Answered) -> None:
    assert restoring.turn_in_queue(one, look, [one, queued(2, 2)], POLICY) is None

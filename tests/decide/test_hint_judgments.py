"""Which instance speaks, and what follows from its hints."""

import pytest

from homing.decide.knowledge.reconcile import AtHome, ComingUp, Judgement, PlacedElsewhere, SetAside
from homing.decide.reports import hints
from homing.decide.reports.hints import Hint
from homing.model.fleet import (
    Epoch,
    Instance,
    InstanceUrl,
    ListedSession,
    MoveKind,
    Placement,
    Rebinding,
    SessionId,
    SessionStatus,
)

S = SessionId("s")
A, B = InstanceUrl("http://localhost:3001"), InstanceUrl("http://b:3002")
FLEET = [Instance(1, A), Instance(7, B, name="berlin"), Instance(12, InstanceUrl("https://c"), name="3")]


@pytest.mark.parametrize(
    ("ref", "number"),
    [
        ("1", 1),
        ("7", 7),
        ("berlin", 7),
        ("b:3002", 7),
        ("localhost:3001", 1),
        ("127.0.0.1:3001", 1),
        ("B:3002", 7),
        ("c", 12),
        ("3", 12),
        ("2", None),
        ("", None),
        ("b:3003", None),
        ("Berlin", None),
        ("b:3002/../x", None),
    ],
)
def test_a_path_names_an_instance_by_number_name_or_place(ref: str, number: int | None) -> None:
    found = hints.named(FLEET, ref)
    assert (found.id if found is not None else None) == number


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("http://localhost:3001", 1),
        ("http://127.0.0.1:3001/", 1),
        ("HTTP://B:3002", 7),
        ("https://b:3002", None),
        ("http://evil.example", None),
        ("file:///etc/passwd", None),
        ("http://b:3002@evil.example", None),
        ("nonsense", None),
    ],
)
def test_a_header_names_a_known_instance_or_nobody(url: str, number: int | None) -> None:
    found = hints.located(FLEET, url)
    assert (found.id if found is not None else None) == number


ROW = ListedSession(S, SessionStatus.CONNECTED)
MOVED_TO_B = PlacedElsewhere(Rebinding(Placement(S, A, Epoch(1)), B, Epoch(2), MoveKind.REDISCOVERY, "found on b"))


@pytest.mark.parametrize(
    ("judgement", "home", "after_s"),
    [
        (MOVED_TO_B, A, None),
        (AtHome(ROW, (), ""), B, None),
        (AtHome(ROW, (), ""), A, 0.5),
        (ComingUp(B, SessionStatus.STARTING, ""), A, 0.5),
        (SetAside("in quarantine"), A, None),
    ],
)
def test_a_session_announced_is_looked_for_until_the_lists_show_it_there(
    judgement: Judgement, home: InstanceUrl, after_s: float | None
) -> None:
    assert hints.look_again_after_s(Hint(S, "session_ready", B), 1, judgement, home, corrected=True) == after_s


def test_a_change_that_did_not_hold_is_looked_at_again() -> None:
    assert hints.look_again_after_s(Hint(S, "session_ready", B), 1, MOVED_TO_B, A, corrected=False) == 0.5


def test_the_pauses_grow_and_end() -> None:
    waiting = ComingUp(B, SessionStatus.STARTING, "")
    hint = Hint(S, "session_ready", B)
    pauses = [hints.look_again_after_s(hint, looks, waiting, A, corrected=False) for looks in range(1, 6)]
    assert pauses == [0.5, 1.0, 2.0, None, None]


@pytest.mark.parametrize("hint", [Hint(S, "session_disconnected", B), Hint(S, "session_ready", None)])
def test_nothing_is_waited_for_where_nothing_was_announced(hint: Hint) -> None:
    assert hints.look_again_after_s(hint, 1, ComingUp(B, SessionStatus.STARTING, ""), A, corrected=False) is None


def test_a_move_says_what_hinted_at_it() -> None:
    change = hints.explained(MOVED_TO_B.change, Hint(S, "session_ready", B))
    assert change.reason == "session_ready from http://b:3002: found on b"


@pytest.mark.parametrize(
    ("known", "listed", "new"),
    [
        (SessionStatus.CONNECTED, SessionStatus.DISCONNECTED, SessionStatus.DISCONNECTED),
        (SessionStatus.STARTING, SessionStatus.CONNECTED, SessionStatus.CONNECTED),
        (SessionStatus.CONNECTED, SessionStatus.CONNECTED, None),
        (SessionStatus.CONNECTED, SessionStatus.UNKNOWN, None),
        (SessionStatus.STOPPED, SessionStatus.DISCONNECTED, None),
        (SessionStatus.LOGGED_OUT, SessionStatus.FAILED, None),
        (SessionStatus.LOGGED_OUT, SessionStatus.PAIRING, SessionStatus.PAIRING),
        (SessionStatus.STOPPED, SessionStatus.CONNECTED, SessionStatus.CONNECTED),
        (SessionStatus.QUARANTINED, SessionStatus.CONNECTED, None),
        (SessionStatus.QUARANTINED, SessionStatus.LOGGED_OUT, None),
    ],
)
def test_what_was_asked_for_is_not_overwritten_by_its_going_down(
    known: SessionStatus, listed: SessionStatus, new: SessionStatus | None
) -> None:
    assert hints.new_status(known, listed) == new

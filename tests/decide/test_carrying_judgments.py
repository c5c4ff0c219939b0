"""Whether a login may leave a vault or come into one: only while nobody else can be using it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from homing.decide.importing.carrying import (
    CarryingRefused,
    LoginOrigin,
    OldHolder,
    ProvenStopped,
    may_enter,
    may_leave,
    old_holder_stopped,
    whose,
)
from homing.model.fleet import (
    NEVER_GRANTED,
    Account,
    AccountUuid,
    Epoch,
    InstanceUrl,
    ListedSession,
    NoList,
    Placement,
    PlacementState,
    SessionId,
    SessionList,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.vault import Holder, SessionHolding
from homing.model.sends.faults import Fault, Phase

EVO, WAHA = InstanceUrl("http://evo:8080"), InstanceUrl("http://waha:3000")
S = SessionId("s")


def holding(**facts: Any) -> SessionHolding:
    told = {"holder": None, "has_login": True, "lease_left_s": 0.0, "holder_ended": False} | facts
    return SessionHolding(S, Epoch(4), **told)


NOT_FOUND, SILENT = Fault(Phase.SESSION_NOT_FOUND, "no such session"), Fault(Phase.REPLY_TIMED_OUT, "no answer")
HELD = {"holder": Holder("http://wa1:3001", "boot"), "lease_left_s": 3.0}


def known(origin: LoginOrigin = LoginOrigin.FOLDER, *, placed_on: InstanceUrl | None = None, **facts: Any) -> OldHolder:
    return OldHolder(origin, "s", "628111", placed_on, facts.pop("lists", {}), **facts)


def listed(url: InstanceUrl, *rows: ListedSession) -> dict[InstanceUrl, SessionList]:
    return {url: SessionList(url, {row.session_id: row for row in rows})}


def row(status: SessionStatus, *, session: str = "s", phone: str | None = None) -> ListedSession:
    return ListedSession(SessionId(session), status, phone)


def code(answer: object) -> str | None:
    return answer.code if isinstance(answer, CarryingRefused) else None


@pytest.mark.parametrize("facts", [{}, HELD | {"lease_left_s": 0.0}, HELD | {"holder_ended": True}])
def test_a_session_that_nobody_can_act_for_may_leave(facts):
    assert may_leave(holding(**facts)) is None


def test_one_that_is_open_does_not_leave_and_one_without_a_login_cannot():
    refused = may_leave(holding(**HELD))
    assert code(refused) == "session_in_use" and "http://wa1:3001" in str(refused)
    assert code(may_leave(None)) == code(may_leave(holding(has_login=False))) == "no_login"


def test_a_login_in_the_vault_is_replaced_only_when_somebody_says_so_and_never_while_it_is_open():
    assert may_enter(None, replace=False) is None
    assert may_enter(holding(has_login=False), replace=False) is None
    assert code(may_enter(holding(), replace=False)) == "login_exists"
    assert may_enter(holding(), replace=True) is None
    assert code(may_enter(holding(**HELD), replace=True)) == "session_in_use"
    assert code(may_enter(holding(has_login=False, **HELD), replace=True)) == "session_in_use", "it waits for a phone"


def test_an_export_proves_by_itself_that_its_side_stopped():
    assert isinstance(old_holder_stopped(known(LoginOrigin.EXPORT)), ProvenStopped)


def test_a_folder_proves_nothing_until_somebody_vouches():
    refused = old_holder_stopped(known())
    assert code(refused) == "not_proven_stopped" and "--stopped" in str(refused)
    assert isinstance(old_holder_stopped(known(said=True)), ProvenStopped)


@pytest.mark.parametrize("status", ["stopped", "disconnected", "logged_out", "failed"])
def test_what_its_gateway_says_of_it_proves_it_once_that_has_lasted(status):
    there = row(SessionStatus(status))
    proof = old_holder_stopped(known(placed_on=EVO, lists=listed(EVO, there), answered=there))
    assert isinstance(proof, ProvenStopped) and proof.may_pass
    assert f"http://evo:8080 says that it is {status.replace('_', ' ')}" in proof.how
    gone = old_holder_stopped(known(placed_on=EVO, lists=listed(EVO), answered=NOT_FOUND))
    assert isinstance(gone, ProvenStopped) and gone.may_pass and "not there" in gone.how
    vouched = old_holder_stopped(known(said=True))
    assert isinstance(vouched, ProvenStopped) and not vouched.may_pass


@pytest.mark.parametrize(
    "lists", [listed(EVO), listed(EVO, row(SessionStatus.DISCONNECTED)), {EVO: NoList(EVO, "none")}]
)
def test_a_session_that_answers_as_connected_is_in_use_whatever_the_list_says(lists):
    answered = row(SessionStatus.CONNECTED)
    refused = old_holder_stopped(known(placed_on=EVO, lists=lists, answered=answered, said=True))
    assert code(refused) == "login_in_use"
    assert "http://evo:8080 says that session s is connected: stop it there without logging it out" in str(refused)


@pytest.mark.parametrize(
    ("lists", "answered"),
    [
        ({EVO: NoList(EVO, "refused")}, SILENT),
        ({EVO: NoList(EVO, "refused")}, NOT_FOUND),
        (listed(EVO), SILENT),
        (listed(EVO, row(SessionStatus.STOPPED)), SILENT),
    ],
)
def test_a_gateway_that_cannot_be_asked_after_the_session_proves_nothing(lists, answered):
    refused = old_holder_stopped(known(placed_on=EVO, lists=lists, answered=answered))
    assert code(refused) == "not_proven_stopped" and "http://evo:8080 could not be asked" in str(refused)
    assert isinstance(
        old_holder_stopped(known(placed_on=EVO, lists=lists, answered=answered, said=True)), ProvenStopped
    )


@pytest.mark.parametrize("origin", LoginOrigin)
@pytest.mark.parametrize("status", ["connected", "starting", "quarantined"])
@pytest.mark.parametrize("listed_as", [{}, {"session": "their name for it", "phone": "628111"}])
def test_what_a_list_shows_in_use_outweighs_any_word(origin, status, listed_as):
    lists = listed(EVO) | listed(WAHA, row(SessionStatus(status), **listed_as))
    assert code(old_holder_stopped(known(origin, placed_on=EVO, lists=lists, said=True))) == "login_in_use"


def test_others_phones_and_codes_that_wait_are_no_use_of_it():
    rows = (row(SessionStatus.CONNECTED, session="t", phone="628222"), row(SessionStatus.PAIRING))
    assert isinstance(old_holder_stopped(known(said=True, lists=listed(WAHA, *rows))), ProvenStopped)


def test_a_state_that_nobody_understands_needs_somebodys_word():
    lists = listed(EVO, row(SessionStatus.UNKNOWN))
    assert code(old_holder_stopped(known(placed_on=EVO, lists=lists))) == "login_in_use"
    assert isinstance(old_holder_stopped(known(placed_on=EVO, lists=lists, said=True)), ProvenStopped)


def account(person: str | None) -> Account:
    place = Placement(S, None, NEVER_GRANTED, PlacementState.HELD)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Account(
        142,
        AccountUuid("u"),
        WorkspaceId(1),
        "08111",
        "",
        place,
        SessionStatus.UNKNOWN,
        Takeover.AUTO,
        at,
        person=person,
    )


def test_somebody_elses_login_is_not_the_accounts():
    assert whose(account("628111"), "628111") is None
    assert code(whose(account("628111"), "628222")) == "phone_mismatch"
    assert whose(account(None), "628222") is whose(None, "628222") is whose(account("628111"), None) is None

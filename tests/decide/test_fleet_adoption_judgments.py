"""Which of the sessions that gateways list are taken up, under which id."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from homing.decide.knowledge.fleet_adoption import AdoptionResult, ListedThere, OnRecord, judge
from homing.decide.knowledge.native_names import meant
from homing.decide.knowledge.observation import advise
from homing.model.fleet import (
    Account,
    AccountUuid,
    Epoch,
    InstanceMode,
    InstanceUrl,
    ListedSession,
    Placement,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.native_names import NativeName
from homing.model.instances.observing import Agreement, WouldKind

A, B = InstanceUrl("http://a:3000"), InstanceUrl("http://b:3000")
ONE, TWO = "6281100000001", "6281100000002"
HOME = WorkspaceId(1)


def row(name: str, phone: str | None, status: SessionStatus = SessionStatus.CONNECTED) -> ListedSession:
    return ListedSession(SessionId(name), status, phone)


def there(url: InstanceUrl, *rows: ListedSession, family: str = "waha") -> ListedThere:
    return ListedThere(url, url.removeprefix("http://"), family, rows)


def account(number: int, session: str, phone: str, url: InstanceUrl | None, native: str | None = None) -> Account:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    placement = Placement(SessionId(session), url, Epoch(1))
    uuid = AccountUuid(f"uuid-{number}")
    made = Account(number, uuid, HOME, phone, "", placement, SessionStatus.CONNECTED, Takeover.AUTO, at)
    return replace(made, person=phone, native_id=native)


def record(*accounts: Account) -> OnRecord:
    named: dict[str, list[NativeName]] = {}
    for each in accounts:
        if each.native_id is not None:
            name = NativeName(each.session_id, each.native_id, each.person, each.placement.instance_url)
            named.setdefault(each.native_id, []).append(name)
    owners = {each.session_id: each for each in accounts}
    return OnRecord(owners, {(HOME, each.person or ""): each for each in accounts}, named)


def results(lists: Sequence[ListedThere], known: OnRecord | None = None) -> list[tuple[str, str]]:
    judged = judge(lists, known or OnRecord(), workspace=HOME, named_by_caller=False)
    return [(each.result.value, each.session_id) for each in judged]


def test_a_free_name_is_the_sessions_id_and_a_taken_one_gets_its_place_before_it() -> None:
    lists = [there(A, row("default", ONE)), there(B, row("default", TWO))]
    assert results(lists) == [("adopted", "default"), ("adopted", "b:3000/default")]


def test_the_same_name_and_phone_on_two_gateways_is_adopted_by_neither() -> None:
    lists = [there(A, row("default", ONE)), there(B, row("default", ONE))]
    assert [result for result, _ in results(lists)] == ["held_twice", "held_twice"]


def test_names_that_hold_everywhere_are_one_session_whatever_their_phones() -> None:
    lists = [there(A, row("webjs_1_a", ONE), family="webjs"), there(B, row("webjs_1_a", TWO), family="webjs")]
    assert [result for result, _ in results(lists)] == ["held_twice", "held_twice"]


def test_a_session_that_is_recorded_there_is_known_and_one_recorded_elsewhere_is_left_to_a_sync() -> None:
    known = record(account(7, "default", ONE, A, "default"))
    assert results([there(A, row("default", ONE))], known) == [("known", "default")]
    assert results([there(B, row("default", ONE))], known) == [("elsewhere", "default")]


def test_another_phone_under_a_known_name_is_another_session() -> None:
    known = record(account(7, "default", ONE, A, "default"))
    assert results([there(B, row("default", TWO))], known) == [("adopted", "b:3000/default")]


def test_a_phone_has_one_account_in_a_workspace() -> None:
    known = record(account(7, "webjs_1_x", ONE, A))
    assert results([there(B, row("shop", ONE))], known) == [("phone_taken", "shop")]
    assert [result for result, _ in results([there(B, row("one", TWO), row("two", TWO))])] == ["adopted", "phone_taken"]


@pytest.mark.parametrize("phone", [None, "", "12", "999999999999@lid"], ids=["none", "empty", "short", "hidden"])
def test_a_session_without_a_phone_is_named_and_left(phone: str | None) -> None:
    assert results([there(A, row("new", phone, SessionStatus.PAIRING))]) == [("no_phone", "new")]


@pytest.mark.parametrize("name", [".", "..", "x" * 201, "new\nline"], ids=["dot", "dots", "long", "control"])
def test_a_name_that_cannot_be_an_id_is_refused(name: str) -> None:
    [judged] = judge([there(A, row(name, ONE))], OnRecord(), workspace=HOME, named_by_caller=False)
    assert judged.result is AdoptionResult.REFUSED


def test_no_two_sessions_get_one_id_nor_one_phone_two_accounts() -> None:
    lists = [there(A, row("default", ONE)), there(B, row("default", TWO), row("b:3000/default", "62811000003"))]
    judged = judge(lists, OnRecord(), workspace=HOME, named_by_caller=False)
    taken = [each.session_id for each in judged if each.result is AdoptionResult.ADOPT]
    assert len(taken) == len(set(taken)) == 3


# --- names ----------------------------------------------------------------------------------------------------

NAMED = [NativeName(SessionId("default"), "default", ONE, A), NativeName(SessionId("b/default"), "default", TWO, B)]


@pytest.mark.parametrize(
    ("phone", "url", "session"),
    [
        (ONE, A, "default"),
        (TWO, A, "b/default"),
        (ONE, B, "default"),
        (None, A, "default"),
        ("62811999", B, "b/default"),
    ],
    ids=["at-home", "swapped", "moved", "no-phone", "strange-phone"],
)
def test_name_and_phone_say_which_session_is_meant_else_the_record(
    phone: str | None, url: InstanceUrl, session: str
) -> None:
    found = meant(NAMED, phone, url)
    assert found is not None
    assert found.session_id == session


def test_a_name_without_a_fitting_phone_is_nobodys_where_none_is_recorded() -> None:
    assert meant(NAMED, "62811999000", InstanceUrl("http://c:3000")) is None
    assert meant(NAMED, None, InstanceUrl("http://c:3000")) is None


# --- may it be routed? ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreement", "ready", "said"),
    [
        (Agreement(), False, "not yet"),
        (Agreement(lists=1, recorded=5, seen=5), False, "once"),
        (Agreement(lists=3, recorded=15, seen=15), True, "--mode route"),
        (Agreement(lists=9, lists_failed=1, recorded=45, seen=45), False, "1 of 10 lists could not be read"),
        (Agreement(lists=9, recorded=45, seen=44), False, "missing once in 9 lists"),
        (Agreement(lists=9), False, "no session is recorded"),
    ],
    ids=["nothing", "one-list", "agrees", "fails", "misses", "empty"],
)
def test_only_what_was_seen_often_and_completely_is_ready_to_be_routed(
    agreement: Agreement, ready: bool, said: str
) -> None:
    advice = advise(A, InstanceMode.OBSERVE, agreement, {})
    assert (advice.ready, said in advice.reason) == (ready, True), advice


def test_corrections_are_told_and_do_not_stand_in_the_way() -> None:
    advice = advise(A, InstanceMode.OBSERVE, Agreement(lists=3, recorded=9, seen=9), {WouldKind.CORRECTION: 2})
    assert advice.ready
    assert "2 were found elsewhere" in advice.reason

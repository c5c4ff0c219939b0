"""Which instance speaks, by all that its request says of it."""

import pytest

from homing.decide.reports import speakers
from homing.decide.reports.speakers import (
    AskTheLists,
    Impostor,
    Introduced,
    Speaker,
    Stranger,
    UnknownSpeakerCause,
    Unnamed,
)
from homing.model.fleet import (
    Instance,
    InstanceUrl,
    ListedSession,
    Listing,
    NoList,
    SessionId,
    SessionList,
    SessionStatus,
)
from homing.model.sends.faults import Fault, Phase

HERE, HERE_TOO = InstanceUrl("http://localhost:3001"), InstanceUrl("http://localhost:3002")
WA1, WA2 = InstanceUrl("http://wa1:3001"), InstanceUrl("http://wa2:3001")
LOOP2 = InstanceUrl("http://127.0.0.2:3001")
X = SessionId("webjs_1_x")


def fleet(*urls: InstanceUrl) -> list[Instance]:
    return [Instance(number, url, name=f"name-{number}") for number, url in enumerate(urls, start=1)]


def listed(url: InstanceUrl, *sessions: SessionId) -> Listing:
    return SessionList(url, {each: ListedSession(each, SessionStatus.CONNECTED) for each in sessions})


def silent(url: InstanceUrl, phase: Phase = Phase.REPLY_TIMED_OUT) -> Listing:
    return NoList(url, phase.value, Fault(phase))


@pytest.mark.parametrize("ref", ["2", "name-2", "wa2:3001"])
def test_the_path_comes_before_every_name(ref: str) -> None:
    told = Introduced(ref=ref, named="http://localhost:3001", session_id=X)
    assert speakers.introduced(fleet(WA1, WA2), told) == Speaker(WA2)


def test_a_path_that_names_nobody_is_not_made_up_for_by_a_name() -> None:
    told = Introduced(ref="9", named=WA1)
    assert speakers.introduced(fleet(WA1), told) == Stranger(UnknownSpeakerCause.UNKNOWN_PATH, "/in/9")


def test_a_key_of_its_own_tells_where_the_name_is_localhost() -> None:
    told = Introduced(owner=WA2, named="http://localhost:3001", session_id=X)
    assert speakers.introduced(fleet(WA1, WA2), told) == Speaker(WA2)


def test_the_key_of_another_than_the_path_names_is_an_impostors() -> None:
    assert speakers.introduced(fleet(WA1, WA2), Introduced(ref="1", owner=WA2)) == Impostor(WA2, WA1)


@pytest.mark.parametrize("named", ["http://localhost:3002", "http://127.0.0.1:3002", "http://[::1]:3002/"])
def test_on_one_machine_a_loopback_name_is_the_address(named: str) -> None:
    told = Introduced(named=named, session_id=X)
    assert speakers.introduced(fleet(HERE, HERE_TOO), told) == Speaker(HERE_TOO)


@pytest.mark.parametrize("named", ["http://localhost:3001", "http://127.0.0.1:3001", "http://127.9.9.9:80"])
@pytest.mark.parametrize("elsewhere", [WA2, LOOP2])
def test_where_there_are_other_hosts_a_loopback_name_is_anybodys(named: str, elsewhere: InstanceUrl) -> None:
    told = Introduced(named=named, session_id=X)
    assert speakers.introduced(fleet(HERE, elsewhere), told) == AskTheLists(X)


def test_our_own_software_knows_its_name_although_it_is_localhost() -> None:
    told = Introduced(named=HERE, session_id=X, knows_its_name=True)
    assert speakers.introduced(fleet(HERE, WA2), told) == Speaker(HERE)


def test_a_loopback_name_without_a_session_is_nobody() -> None:
    told = Introduced(named="http://localhost:3001")
    assert speakers.introduced(fleet(HERE, WA2), told) == Stranger(
        UnknownSpeakerCause.LOOPBACK, "http://localhost:3001"
    )


@pytest.mark.parametrize("named", ["http://evil.example", "http://wa1:3002", "nonsense", "http://10.0.0.1:3001"])
def test_any_other_unknown_host_is_a_stranger_whose_session_proves_nothing(named: str) -> None:
    told = Introduced(named=named, session_id=X)
    assert speakers.introduced(fleet(WA1, WA2), told) == Stranger(UnknownSpeakerCause.UNKNOWN_HOST, named)


def test_who_says_nothing_is_unnamed() -> None:
    assert speakers.introduced(fleet(WA1), Introduced(session_id=X)) == Unnamed()


def test_the_only_one_that_lists_the_session_speaks() -> None:
    assert speakers.by_lists(X, None, {WA1: listed(WA1), WA2: listed(WA2, X)}) == WA2
    assert speakers.by_lists(X, WA1, {WA1: listed(WA1), WA2: listed(WA2, X)}) == WA2


def test_of_several_that_list_it_the_one_where_it_is_placed_speaks() -> None:
    both = {WA1: listed(WA1, X), WA2: listed(WA2, X)}
    assert speakers.by_lists(X, WA1, both) == WA1
    assert speakers.by_lists(X, None, both) is None


def test_where_nobody_lists_it_nobody_speaks() -> None:
    assert speakers.by_lists(X, WA1, {WA1: listed(WA1), WA2: listed(WA2)}) is None


def test_an_instance_that_gives_no_list_may_be_the_one_unless_it_is_not_up() -> None:
    assert speakers.by_lists(X, None, {WA1: silent(WA1), WA2: listed(WA2, X)}) is None
    assert speakers.by_lists(X, None, {WA1: silent(WA1, Phase.REFUSED), WA2: listed(WA2, X)}) == WA2
    assert speakers.by_lists(X, WA2, {WA1: silent(WA1), WA2: listed(WA2, X)}) == WA2


def test_only_on_one_machine_no_process_needs_an_address_of_its_own() -> None:
    one_machine, mixed = fleet(HERE, HERE_TOO), fleet(HERE, WA2)
    assert not any(speakers.needs_a_path(each, one_machine) for each in one_machine)
    assert all(speakers.needs_a_path(each, mixed) for each in mixed)

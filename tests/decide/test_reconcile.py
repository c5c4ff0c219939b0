"""What the instances' lists say about where a session is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.knowledge import reconcile, sync
from homing.decide.knowledge.reconcile import Absent, AtHome, ComingUp, Contested, PlacedElsewhere, SetAside, Unlinked
from homing.decide.knowledge.sync import SyncResult
from homing.model.fleet import (
    AccountUuid,
    Epoch,
    InstanceUrl,
    Linking,
    ListedSession,
    Listing,
    NoList,
    Placement,
    Route,
    SessionId,
    SessionList,
    SessionStatus,
    WorkspaceId,
)

S = SessionId("s1")
A, B, C = (InstanceUrl(f"http://{name}:1") for name in "abc")
UP, STARTING, GONE, PAIRING = (
    SessionStatus.CONNECTED,
    SessionStatus.STARTING,
    SessionStatus.DISCONNECTED,
    SessionStatus.PAIRING,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
CODE = Linking(code_at=AT, ready_at=AT - timedelta(days=1))
UNHEARD = Linking()
ENDED = Linking(ready_at=AT - timedelta(days=1), logout_at=AT)


def has(url: InstanceUrl, status: SessionStatus = UP, epoch: int | None = None) -> Listing:
    row = ListedSession(S, status, epoch=None if epoch is None else Epoch(epoch))
    return SessionList(url, {S: row})


def lacks(url: InstanceUrl) -> Listing:
    return SessionList(url, {})


def silent(url: InstanceUrl) -> Listing:
    return NoList(url, "refused")


def judge(
    *listings: Listing, home: InstanceUrl | None = A, epoch: int = 3, known: Linking = UNHEARD
) -> reconcile.Judgement:
    observed = reconcile.observe({listing.instance_url: listing for listing in listings}, [S])
    return reconcile.judge(Placement(S, home, Epoch(epoch)), observed, known=known)


def test_a_session_at_home_changes_nothing() -> None:
    assert isinstance(judge(has(A), lacks(B)), AtHome)


def test_a_lost_session_found_on_one_other_instance_is_adopted_with_its_reason() -> None:
    found = judge(silent(A), has(B, epoch=4))
    assert isinstance(found, PlacedElsewhere)
    assert (found.change.instance_url, found.change.epoch) == (B, 4)
    assert found.reason == "found on http://b:1; http://a:1 gave no list (refused)"


def test_a_holder_without_epochs_takes_the_next_number() -> None:
    found = judge(lacks(A), has(B))
    assert isinstance(found, PlacedElsewhere)
    assert found.change.epoch == 4
    assert found.change.expected.epoch == 3


def test_a_lower_epoch_is_never_adopted() -> None:
    assert isinstance(judge(lacks(A), has(B, epoch=2)), ComingUp)


def test_a_higher_epoch_at_home_is_adopted() -> None:
    found = judge(has(A, epoch=7))
    assert isinstance(found, PlacedElsewhere)
    assert (found.change.instance_url, found.change.epoch) == (A, 7)


def test_two_holders_are_reported_and_the_assigned_one_kept() -> None:
    found = judge(has(A, epoch=3), has(B, epoch=3))
    assert isinstance(found, AtHome)
    assert found.rivals == (B,)


def test_two_strangers_with_equal_right_are_not_settled_by_luck() -> None:
    found = judge(lacks(A), has(B), has(C))
    assert isinstance(found, Contested)
    assert found.claimants == (B, C)
    assert isinstance(judge(lacks(A), has(B, epoch=4), has(C, epoch=4)), Contested)


def test_of_two_strangers_the_higher_epoch_wins() -> None:
    found = judge(lacks(A), has(B, epoch=4), has(C, epoch=5))
    assert isinstance(found, PlacedElsewhere)
    assert found.change.instance_url == C
    assert found.rivals == (B,)


def test_a_stranger_without_epochs_is_not_adopted_while_home_is_bringing_it_up() -> None:
    assert isinstance(judge(has(A, STARTING), has(B)), ComingUp)


def test_a_stranger_is_adopted_where_home_says_disconnected() -> None:
    assert isinstance(judge(has(A, GONE), has(B)), PlacedElsewhere)


@pytest.mark.parametrize("status", [STARTING, SessionStatus.UNKNOWN, GONE, SessionStatus.FAILED])
def test_a_session_that_cannot_send_yet_is_waited_for(status: SessionStatus) -> None:
    found = judge(has(A, status), lacks(B))
    assert isinstance(found, ComingUp)
    assert status.value in found.reason


def test_a_session_coming_up_elsewhere_changes_nothing_yet() -> None:
    assert isinstance(judge(silent(A), has(B, STARTING)), ComingUp)


def test_a_session_that_waits_for_its_code_needs_a_person() -> None:
    assert isinstance(judge(has(A, PAIRING, 3)), Unlinked)
    assert isinstance(judge(lacks(A), has(B, PAIRING, 3)), Unlinked)


def test_a_code_shown_elsewhere_proves_nothing_while_home_is_silent() -> None:
    assert isinstance(judge(silent(A), has(B, PAIRING, 3)), Absent)


@pytest.mark.parametrize("listings", [(has(A, PAIRING),), (lacks(A), has(B, PAIRING))])
def test_a_gateway_without_epochs_says_qr_scanning_of_what_comes_up_by_itself(listings: tuple[Listing, ...]) -> None:
    found = judge(*listings)
    assert isinstance(found, ComingUp)
    assert (found.status, "starting" in found.reason) == (STARTING, True)


@pytest.mark.parametrize(
    ("listing", "known", "status"),
    [
        (has(A, PAIRING), CODE, PAIRING),
        (has(A, PAIRING), ENDED, PAIRING),
        (has(A, GONE), ENDED, SessionStatus.LOGGED_OUT),
        (lacks(A), ENDED, SessionStatus.LOGGED_OUT),
    ],
)
def test_what_the_holder_reported_says_that_it_takes_a_person(
    listing: Listing, known: Linking, status: SessionStatus
) -> None:
    found = judge(listing, lacks(B), known=known)
    assert isinstance(found, Unlinked)
    assert (found.status, found.never_linked) == (status, False)


def test_what_the_holder_reported_is_not_said_of_others() -> None:
    assert isinstance(judge(lacks(A), has(B, PAIRING), known=CODE), ComingUp)


def test_a_logout_is_not_followed_where_the_holder_says_connected_or_nothing() -> None:
    assert isinstance(judge(has(A), known=ENDED), AtHome)
    assert isinstance(judge(silent(A), lacks(B), known=ENDED), Absent)


def test_a_session_that_restores_at_home_is_not_taken_from_there() -> None:
    assert isinstance(judge(has(A, PAIRING), has(B)), ComingUp)
    assert isinstance(judge(has(A, PAIRING), has(B), known=CODE), PlacedElsewhere)


def checked(status: SessionStatus, known: Linking, *listings: Listing) -> sync.Checked:
    account = Route(1, AccountUuid("u"), WorkspaceId(1), Placement(S, A, Epoch(3)), "62811", status, linking=known)
    observed = reconcile.observe({listing.instance_url: listing for listing in listings}, [S])
    return sync.conclude(account, observed, seen_before=False)


def test_a_new_account_that_was_never_paired_is_no_failure_and_is_told_what_to_do() -> None:
    new = checked(PAIRING, Linking(code_at=AT), has(A, PAIRING))
    assert (new.result, new.status) == (SyncResult.SKIPPED, None)
    assert "homing accounts qr" in new.reason
    lost = checked(UP, CODE, has(A, PAIRING))
    assert lost.result is SyncResult.FAILED


def test_a_sync_notes_a_logout_that_nobody_followed_and_one_that_has_passed() -> None:
    assert checked(UP, ENDED, has(A, GONE)).status is SessionStatus.LOGGED_OUT
    assert checked(SessionStatus.LOGGED_OUT, ENDED, has(A, GONE)).status is None
    assert checked(SessionStatus.LOGGED_OUT, ENDED, has(A)).status is UP


def test_a_list_that_could_not_be_read_proves_nothing() -> None:
    found = judge(lacks(A), silent(B))
    assert isinstance(found, Absent)
    assert found.silent == (B,)
    assert found.reason == "asked 2 instances: 1 answered without it; http://b:1 gave no list (refused)"


@pytest.mark.parametrize("listings", [[has(A, epoch=3)], [lacks(A), has(B, epoch=9)], [silent(A), lacks(B)], []])
def test_wherever_a_session_in_quarantine_is_seen_nothing_follows(listings: list[Listing]) -> None:
    observed = reconcile.observe({listing.instance_url: listing for listing in listings}, [S])
    found = reconcile.judge(Placement(S, A, Epoch(3)), observed, quarantined=True)
    assert isinstance(found, SetAside)
    assert found.reason == "it is in quarantine: a stranger uses its login, and an operator has to start it again"
    placement = Placement(S, A, Epoch(3))
    route = Route(1, AccountUuid("u"), WorkspaceId(1), placement, status=SessionStatus.QUARANTINED)
    checked = sync.conclude(route, observed, seen_before=True)
    assert (checked.result, checked.change, checked.rivals) == (SyncResult.SKIPPED, None, ())


def test_no_instance_to_ask_is_said() -> None:
    assert judge().reason == "there is no instance to ask"


def test_a_session_never_placed_is_adopted() -> None:
    found = judge(lacks(A), has(B, epoch=1), home=None, epoch=0)
    assert isinstance(found, PlacedElsewhere)
    assert found.change.expected.instance_url is None


statuses = st.sampled_from(list(SessionStatus))
listing = st.one_of(
    st.just(None),
    st.just("silent"),
    st.tuples(statuses, st.one_of(st.none(), st.integers(0, 6))),
)


@given(a=listing, b=listing, c=listing, epoch=st.integers(0, 5))
def test_a_change_goes_only_to_an_instance_that_can_send_and_never_lowers_the_epoch(
    a: object, b: object, c: object, epoch: int
) -> None:
    listings: list[Listing] = []
    for url, kind in ((A, a), (B, b), (C, c)):
        if kind is None:
            listings.append(lacks(url))
        elif isinstance(kind, tuple):
            listings.append(has(url, kind[0], kind[1]))
        else:
            listings.append(silent(url))
    found = judge(*listings, epoch=epoch)
    if isinstance(found, PlacedElsewhere):
        row = next(item for item in listings if item.instance_url == found.change.instance_url)
        assert isinstance(row, SessionList)
        assert row.sessions[S].can_send
        assert found.change.epoch >= epoch
        assert found.change.placement != found.change.expected

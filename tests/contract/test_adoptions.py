"""Accounts for sessions that run already, and what is written down of observed instances, on both stores."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fleets import A, B

from clocks import SteppedClock
from homing.model.fleet import (
    Account,
    AccountUuid,
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
from homing.model.instances.observing import Agreement, Watched, WouldHave, WouldKind
from homing.ports import NewAccount, Notice, Page, PlacementChanged
from homing.ports.directory.adopting import NewlyListed, NotMade
from homing.store.db.database import Database
from homing.store.directory.adopting import SqlAdoptions
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.records.watch_log import SqlWatchLog

HOME = WorkspaceId(1)


def listed(
    session: str, phone: str, url: InstanceUrl = A, status: SessionStatus = SessionStatus.CONNECTED, **more: Any
) -> NewlyListed:
    account = NewAccount(
        AccountUuid(f"uuid-{session}"), HOME, SessionId(session), phone, session, Takeover.MANUAL, person=phone, **more
    )
    return NewlyListed(account, url, ListedSession(SessionId(session), status, phone))


@pytest.fixture
def adoptions(database: Database, local_notices: LocalNotices, clock: SteppedClock) -> SqlAdoptions:
    return SqlAdoptions(database, local_notices, clock)


async def test_accounts_are_made_and_placed_where_their_sessions_are_listed(
    adoptions: SqlAdoptions, directory: SqlDirectory, heard: list[Notice]
) -> None:
    one, two = await adoptions.take_up(
        [listed("one", "62811001", native_id="default"), listed("two", "62811002", B, SessionStatus.DISCONNECTED)]
    )
    assert isinstance(one, Account)
    assert isinstance(two, Account)
    assert one.placement == Placement(SessionId("one"), A, one.placement.epoch)
    assert (one.placement.epoch, one.status, one.native_id) == (1, SessionStatus.CONNECTED, "default")
    assert (two.placement.instance_url, two.status) == (B, SessionStatus.DISCONNECTED)
    assert one.last_verified_at is not None
    assert [each.session_id for each in await directory.placed_on(A)] == ["one"]
    assert {each.session_id for each in heard if isinstance(each, PlacementChanged)} == {"one", "two"}
    assert [each.kind.value for each in await directory.moves(None, Page(limit=10))] == ["placement", "placement"]


async def test_one_that_cannot_be_made_harms_no_other_and_leaves_nothing(
    adoptions: SqlAdoptions, directory: SqlDirectory
) -> None:
    await adoptions.take_up([listed("one", "62811001")])
    stranger = listed("one", "62811009")
    twice, taken, three = await adoptions.take_up(
        [
            listed("other", "62811001"),
            replace(stranger, account=replace(stranger.account, uuid=AccountUuid("u9"))),
            listed("three", "62811003"),
        ]
    )
    assert isinstance(twice, NotMade)
    assert "62811001" in twice.reason
    assert isinstance(taken, NotMade)
    assert "belongs to another account" in taken.reason
    assert isinstance(three, Account)
    everybody = await directory.accounts(None, Page(limit=10))
    assert sorted(each.session_id for each in everybody) == ["one", "three"]
    assert await directory.account(None, uuid="u9") is None


async def test_an_account_that_is_nowhere_is_placed_and_one_that_is_somewhere_is_not(
    adoptions: SqlAdoptions, directory: SqlDirectory
) -> None:
    await directory.create_account(listed("lost", "62811001").account)
    await adoptions.take_up([listed("here", "62811002")])
    rows = [(SessionId(each), B, ListedSession(SessionId(each), SessionStatus.CONNECTED)) for each in ("lost", "here")]
    assert await adoptions.place(rows, {SessionId("lost"): "default"}) == {"lost"}
    assert [each.session_id for each in await directory.placed_on(B)] == ["lost"]
    assert await adoptions.native_names() == [NativeName(SessionId("lost"), "default", "62811001", B)]


async def test_native_names_follow_their_accounts(adoptions: SqlAdoptions, directory: SqlDirectory) -> None:
    [account] = await adoptions.take_up([listed("one", "62811001", native_id="default")])
    assert isinstance(account, Account)
    assert await adoptions.native_names() == [NativeName(SessionId("one"), "default", "62811001", A)]
    await directory.delete_account(account)
    assert await adoptions.native_names() == []


async def test_an_instance_says_since_when_its_mode_is_what_it_is(directory: SqlDirectory, clock: SteppedClock) -> None:
    plain = await directory.create_instance(A)
    assert (plain.mode, plain.mode_since, plain.sealed_key) == (InstanceMode.ROUTE, None, None)
    observed = await directory.create_instance(B, mode=InstanceMode.OBSERVE, sealed_key="sealed")
    assert observed.mode_since is not None
    assert observed.sealed_key == "sealed"
    same = await directory.change_instance(B, {"mode": InstanceMode.OBSERVE, "name": "b"})
    assert same is not None
    assert same.mode_since == observed.mode_since
    clock.advance(60)
    routed = await directory.change_instance(B, {"mode": InstanceMode.ROUTE})
    assert routed is not None
    assert routed.mode_since is not None
    assert routed.mode_since > observed.mode_since


# --- what is written down of observed instances ---------------------------------------------------------------


@pytest.fixture
def watch_log(database: Database) -> SqlWatchLog:
    return SqlWatchLog(database)


NOW = SteppedClock().now()


def would(
    session: str, kind: WouldKind = WouldKind.ALERT, *, reason: str = "it is gone", hours: float = 0.0
) -> WouldHave:
    at = NOW + timedelta(hours=hours)
    return WouldHave(A, kind, SessionId(session), reason, at, at)


async def test_what_is_called_for_again_counts_once_more_with_the_newest_reason(watch_log: SqlWatchLog) -> None:
    await watch_log.note([would("s"), would("t", WouldKind.MOVE)], [])
    await watch_log.note([would("s", reason="it is still gone", hours=2)], [])
    newest, other = await watch_log.would_haves(since=NOW, limit=10)
    assert (newest.session_id, newest.reason, newest.times) == ("s", "it is still gone", 2)
    assert (newest.first_at, newest.last_at) == (NOW, NOW + timedelta(hours=2))
    assert (other.session_id, other.times) == ("t", 1)
    assert await watch_log.counts(since=NOW) == {A: {WouldKind.ALERT: 1, WouldKind.MOVE: 1}}
    assert await watch_log.would_haves(B, since=NOW, limit=10) == []


async def test_agreement_is_summed_over_lists_and_a_failed_one_says_nothing_of_sessions(watch_log: SqlWatchLog) -> None:
    first = Watched(A, NOW, recorded=5, seen=5, strays=2)
    await watch_log.note([], [first, replace(first, at=NOW + timedelta(minutes=1), seen=4, strays=1)])
    await watch_log.note([], [Watched(A, NOW + timedelta(hours=3), failed=True)])
    agreement = (await watch_log.agreements(since=NOW))[A]
    assert (agreement.lists, agreement.lists_failed, agreement.recorded, agreement.seen) == (2, 1, 10, 9)
    assert (agreement.strays, agreement.last_at) == (1, NOW + timedelta(hours=3))
    assert agreement.share == pytest.approx(0.9)
    assert Agreement().share is None


async def test_what_is_old_is_forgotten_a_part_at_a_time(watch_log: SqlWatchLog) -> None:
    await watch_log.note([would(f"s{each}") for each in range(5)], [Watched(A, NOW, 1, 1), Watched(B, NOW, 1, 1)])
    await watch_log.note([would("young", hours=9)], [Watched(A, NOW + timedelta(hours=9), 1, 1)])
    before = NOW + timedelta(hours=5)
    assert await watch_log.prune(before=before, limit=3) == 5
    assert await watch_log.prune(before=before, limit=3) == 2
    assert await watch_log.prune(before=before, limit=3) == 0
    assert [each.session_id for each in await watch_log.would_haves(since=NOW, limit=10)] == ["young"]


async def test_an_instance_that_left_takes_what_was_seen_of_it_along(
    watch_log: SqlWatchLog, directory: SqlDirectory
) -> None:
    await directory.create_instance(A)
    await watch_log.note([would("s")], [Watched(A, NOW, 1, 1)])
    await directory.delete_instance(A)
    assert await watch_log.would_haves(since=NOW, limit=10) == []
    assert await watch_log.agreements(since=NOW) == {}

"""The whole fleet checked against the directory, and the directory mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from homing.decide.knowledge.sync import Checked, SyncResult
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.sync import Sync
from homing.model.fleet import Account, InstanceUrl, MoveKind, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.ports import Notice, Page, PlacementChanged, StoreUnavailable
from tests.flows.worlds import PLAIN, A, B, Bench, C, W, bench

pytestmark = pytest.mark.virtual


@asynccontextmanager
async def fleet(*urls: InstanceUrl, plain: bool = False) -> AsyncIterator[tuple[Bench, Sync]]:
    async with bench(*urls, **({"can": PLAIN} if plain else {})) as it:
        lists = Lists(it.world, it.clock)
        yield it, Sync(it.directory, lists, it.clock, it.entropy, it.tally)


async def later(it: Bench) -> None:
    """So much later that nothing was verified a moment ago."""
    await it.clock.sleep(61)


async def test_what_is_where_the_record_says_is_verified_with_one_list_per_instance() -> None:
    async with fleet(A, B) as (it, sync):
        accounts = [await it.account(url) for url in (A, B, B)]
        await later(it)
        report = await sync.run()
        assert (report.found, report.counts[SyncResult.VERIFIED], report.instance_calls) == (3, 3, 2)
        assert not report.needs_attention
        shown = await it.directory.account(W, id=accounts[0].id)
        assert shown is not None
        assert shown.last_verified_at is not None
        assert (it.clock.now() - shown.last_verified_at).total_seconds() < 1


async def test_a_session_on_another_instance_is_updated_and_logged_as_a_move() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        report = await sync.run()
        assert report.counts[SyncResult.UPDATED] == 1
        [update] = report.updates
        assert (update.account_id, update.old_url, update.new_url) == (account.id, A, B)
        assert (await it.placement(account)).instance_url == B
        [move, *_] = await it.directory.moves(W, Page())
        assert (move.kind, move.run_id) == (MoveKind.REDISCOVERY, report.run_id)


async def test_a_dry_run_says_the_same_and_changes_nothing() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        moves_before = await it.directory.moves(W, Page())
        report = await sync.run(dry_run=True)
        assert [update.new_url for update in report.updates] == [B]
        assert (await it.placement(account)).instance_url == A
        assert await it.directory.moves(W, Page()) == moves_before


async def test_what_was_verified_within_the_last_minute_is_skipped_unless_forced() -> None:
    async with fleet(A) as (it, sync):
        await it.account(A)
        assert (await sync.run()).counts[SyncResult.VERIFIED] == 1
        assert (await sync.run()).counts == {SyncResult.SKIPPED: 1, SyncResult.VERIFIED: 0}
        assert (await sync.run(force=True)).counts[SyncResult.VERIFIED] == 1
        await later(it)
        assert (await sync.run()).counts[SyncResult.VERIFIED] == 1


async def test_failed_means_that_everybody_answered_and_nobody_has_it() -> None:
    async with fleet(A, B) as (it, sync):
        await it.account(A, held=False)
        report = await sync.run()
        assert report.counts[SyncResult.FAILED] == 1
        assert report.needs_attention


async def test_unreachable_means_that_its_instance_did_not_answer_and_nobody_else_has_it() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(A)
        await later(it)
        it.world.lose(A)
        report = await sync.run()
        assert report.counts[SyncResult.UNREACHABLE] == 1
        [told] = report.told
        assert "http://a:3001 gave no list" in told.reason
        assert (await it.placement(account)).instance_url == A


async def test_an_instance_without_a_list_changes_nothing_for_the_others() -> None:
    async with fleet(A, B, C) as (it, sync):
        await it.account(A)
        moved = await it.account(B, held=False)
        await later(it)
        it.world.lose(A)
        it.world.hold(C, moved.session_id, epoch=2)
        report = await sync.run()
        assert (report.counts[SyncResult.UPDATED], report.counts[SyncResult.UNREACHABLE]) == (1, 1)
        assert report.oddities == ["http://a:3001 gave no list: refused"]


async def test_a_session_of_a_silent_instance_is_updated_where_somebody_else_has_it() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(A)
        it.world.lose(A)
        it.world.hold(B, account.session_id, epoch=2)
        report = await sync.run()
        assert report.counts == {SyncResult.UPDATED: 1, SyncResult.SKIPPED: 0, SyncResult.VERIFIED: 0}


async def test_two_holders_are_reported_and_nothing_is_settled_by_luck() -> None:
    async with fleet(A, B, C, plain=True) as (it, sync):
        contested = await it.account(A, held=False)
        it.world.hold(B, contested.session_id)
        it.world.hold(C, contested.session_id)
        rivalled = await it.account(A)
        it.world.hold(B, rivalled.session_id)
        await later(it)
        report = await sync.run()
        assert report.duplicates == 2
        assert report.counts[SyncResult.FAILED] == 1
        assert report.counts[SyncResult.VERIFIED] == 1
        assert (await it.placement(contested)).instance_url == A
        assert (await it.placement(rivalled)).instance_url == A


async def test_a_status_that_may_pass_must_be_seen_twice() -> None:
    async with fleet(A, B, plain=True) as (it, sync):
        flapping = await it.account(A)
        it.world.hold(A, flapping.session_id, status=SessionStatus.DISCONNECTED)
        it.world.hold(B, flapping.session_id)
        lasting = await it.account(A)
        it.world.hold(A, lasting.session_id, status=SessionStatus.DISCONNECTED)
        it.world.hold(B, lasting.session_id)
        await later(it)
        asyncio.get_running_loop().call_later(0.5, it.world.hold, A, flapping.session_id)
        report = await sync.run()
        assert [update.account_id for update in report.updates] == [lasting.id]
        assert (await it.placement(flapping)).instance_url == A
        assert report.instance_calls == 4


async def test_a_session_still_starting_at_home_is_where_it_belongs() -> None:
    async with fleet(A) as (it, sync):
        account = await it.account(A)
        await later(it)
        it.world.hold(A, account.session_id, status=SessionStatus.STARTING)
        assert (await sync.run()).counts[SyncResult.VERIFIED] == 1


async def test_sessions_stopped_or_logged_out_are_not_expected_anywhere() -> None:
    async with fleet(A) as (it, sync):
        for status in (SessionStatus.STOPPED, SessionStatus.LOGGED_OUT):
            account = await it.account(A, held=False)
            await it.directory.set_status(account.session_id, status)
        report = await sync.run()
        assert (report.found, sum(report.counts.values())) == (0, 0)


async def test_a_session_in_quarantine_is_not_brought_back_by_whoever_lists_it() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(A, held=False)
        await it.directory.set_status(account.session_id, SessionStatus.QUARANTINED)
        it.world.hold(B, account.session_id, epoch=9)
        report = await sync.run()
        assert report.counts[SyncResult.UPDATED] == report.counts[SyncResult.VERIFIED] == 0
        assert not report.needs_attention
        assert (await it.placement(account)).instance_url == A


async def test_sessions_placed_at_an_address_that_left_the_fleet_are_found() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(InstanceUrl("http://gone:3001"), held=False)
        it.world.hold(B, account.session_id, epoch=2)
        assert (await sync.run()).counts[SyncResult.UPDATED] == 1


async def test_every_session_is_told_of_once_and_the_counts_agree() -> None:
    async with fleet(A, B, C) as (it, sync):
        accounts = [await it.account(url) for url in (A, B, C) * 4]
        await later(it)
        for account in accounts[:3]:
            for instance in it.world.instances.values():
                instance.sessions.pop(account.session_id, None)
            it.world.hold(C, account.session_id, epoch=2)
        it.world.lose(B)
        told: list[Checked] = []
        report = await sync.run(tell=told.append)
        assert sorted(checked.account_id for checked in told) == sorted(account.id for account in accounts)
        assert sum(report.counts.values()) == report.found == 12


async def test_one_sync_mends_a_fleet_and_the_next_finds_nothing_to_do() -> None:
    async with fleet(A, B, C) as (it, sync):
        accounts = [await it.account(A) for _ in range(120)]
        shuffled = [A, B, C]
        for number, account in enumerate(accounts):
            it.world.instances[A].sessions.pop(account.session_id)
            it.world.hold(shuffled[number % 3], account.session_id, epoch=2)
        first = await sync.run(force=True)
        assert first.counts[SyncResult.UPDATED] == 120
        assert (await sync.run(force=True)).counts == {
            SyncResult.VERIFIED: 120,
            SyncResult.SKIPPED: 0,
        }


async def test_a_batch_of_changes_is_one_notice_for_each_session_and_drops_their_routes() -> None:
    async with fleet(A, B) as (it, sync):
        account: Account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        await it.route(account)
        heard: list[Notice] = []
        it.notices.subscribe(heard.append)
        await sync.run()
        assert [notice for notice in heard if isinstance(notice, PlacementChanged)]
        assert (await it.route(account)).placement.instance_url == B


async def test_a_run_that_loses_the_database_fails_clean_and_the_next_one_mends() -> None:
    async with fleet(A, B) as (it, sync):
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        real = it.directory.rebind

        async def away(*_: object, **__: object) -> list[object]:
            raise StoreUnavailable("the database does not answer")

        it.directory.rebind = away  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreUnavailable):
            await sync.run()
        it.directory.rebind = real  # type: ignore[method-assign]
        assert (await sync.run()).counts[SyncResult.UPDATED] == 1


async def test_a_list_that_hangs_is_given_up_and_said() -> None:
    async with fleet(A, B) as (it, sync):
        await it.account(A)
        await later(it)
        it.world.instances[A].list_takes_s = 99
        it.world.instances[B].down = Fault(Phase.REPLY_TIMED_OUT)
        report = await sync.run()
        assert report.counts[SyncResult.UNREACHABLE] == 1
        assert len(report.oddities) == 2
        assert report.execution_s < 5

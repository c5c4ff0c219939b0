"""The route cache: quick, and never older than what was heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from homing.model.fleet import Account, Epoch, MoveKind, Rebinding, SessionStatus
from homing.ports import CacheCleared, Lookup, PlacementChanged
from tests.flows.worlds import A, B, Bench, W, bench

pytestmark = pytest.mark.virtual


async def test_a_cold_cache_and_a_hundred_sends_at_once_read_once() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        await asyncio.gather(*(it.routes.route(W, account.uuid, None) for _ in range(100)))
        stats = it.routes.stats()
        assert (it.tally.reads, stats.misses, stats.hits) == (1, 1, 99)


async def test_one_read_of_a_contact_brings_the_address_book_along() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        contacts = [await it.directory.create_contact(it.entropy.uuid(), W, f"62812{n:06}", "") for n in range(300)]  # type: ignore[arg-type]
        await asyncio.gather(*(it.routes.route(W, account.uuid, contact.uuid) for contact in contacts))
        assert it.tally.reads == 1
        _, found = await it.routes.route(W, account.uuid, contacts[299].uuid)
        assert found == contacts[299]


async def test_a_move_drops_the_route_at_once() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        before = await it.route(account)
        assert await it.directory.rebind([Rebinding(before.placement, B, Epoch(2), MoveKind.REDISCOVERY, "moved")])
        assert (await it.route(account)).placement.instance_url == B
        assert it.routes.stats().invalidations == 1


async def test_a_route_lives_for_its_time_and_no_longer() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        await it.route(account)
        await it.clock.sleep(299)
        await it.route(account)
        assert it.tally.reads == 1
        await it.clock.sleep(2)
        await it.route(account)
        assert it.tally.reads == 2


async def test_a_read_that_a_notice_overtook_does_not_fill_the_cache() -> None:
    async with bench(A, B) as it:
        account = await it.account(A)
        slow = SlowLookup(it)
        reading = asyncio.create_task(it.routes.route(W, account.uuid, None))
        await slow.asked.wait()
        change = Rebinding(account.placement, B, Epoch(2), MoveKind.REDISCOVERY, "moved")
        assert await it.directory.rebind([change])
        slow.answer.set()
        stale, _ = await reading
        assert stale is not None
        assert stale.placement.instance_url == A
        assert (await it.route(account)).placement.instance_url == B


async def test_a_change_without_a_new_epoch_overtakes_a_read_too() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        async with overtaken_read(it, account):
            await it.directory.set_status(account.session_id, SessionStatus.LOGGED_OUT)
        assert it.routes.stats().entries == 0
        assert (await it.route(account)).status is SessionStatus.LOGGED_OUT


async def test_after_a_failure_the_cached_route_itself_is_no_answer() -> None:
    """The word of a move may have been lost on its way to this gateway."""
    async with bench(A, B) as it:
        account = await it.account(A)
        cached = await it.route(account)
        reads = it.tally.reads
        assert await it.routes.reread_unless_moved(account.uuid, cached.placement) == cached
        assert it.tally.reads == reads + 1


async def test_a_clearing_overtakes_a_read_too() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        async with overtaken_read(it, account):
            await it.notices.publish([CacheCleared()])
        assert it.routes.stats().entries == 0


async def test_a_route_below_the_last_epoch_heard_is_not_kept() -> None:
    async with bench(A) as it:
        account = await it.account(A, epoch=1)
        await it.notices.publish([PlacementChanged(account.session_id, account.uuid, Epoch(4))])
        await it.route(account)
        assert it.routes.stats().entries == 0


async def test_another_workspaces_account_is_not_there() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        await it.route(account)
        assert await it.routes.route(W + 1, account.uuid, None) == (None, None)  # type: ignore[arg-type]


async def test_a_failed_read_fails_its_askers_and_the_next_reads_again() -> None:
    async with bench(A) as it:
        account = await it.account(A)
        real, it.directory.lookup = it.directory.lookup, _broken  # type: ignore[method-assign]
        results = await asyncio.gather(
            *(it.routes.route(W, account.uuid, None) for _ in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [OSError] * 3
        it.directory.lookup = real  # type: ignore[method-assign]
        assert (await it.route(account)).account_uuid == account.uuid


async def _broken(*_: object, **__: object) -> Lookup:
    raise OSError("away")


class SlowLookup:
    """Holds the directory's answer back until told: what it read is then already old."""

    def __init__(self, it: Bench) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()
        self._real = it.directory.lookup
        it.directory.lookup = self._lookup  # type: ignore[method-assign]

    async def _lookup(self, accounts, contacts, *, neighbours=0):  # type: ignore[no-untyped-def]
        found = await self._real(accounts, contacts, neighbours=neighbours)
        self.asked.set()
        await self.answer.wait()
        return found


@asynccontextmanager
async def overtaken_read(it: Bench, account: Account) -> AsyncIterator[None]:
    """What happens in the block happens while a read of the account's route is on its way back."""
    slow = SlowLookup(it)
    reading = asyncio.create_task(it.routes.route(W, account.uuid, None))
    await slow.asked.wait()
    yield
    slow.answer.set()
    await reading

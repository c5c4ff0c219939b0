"""No session stays on its way for ever: whoever let go of it, and however, somebody brings it to an end of its way."""

import asyncio

import pytest
from vault_fleet import Fleet, fleet, running
from worlds import A, B

from homing.flows.failover.stuck_moves import Strays
from homing.flows.moves.move_jobs import KIND
from homing.model.fleet import Account, Placement, PlacementState, Takeover
from homing.model.instances.vault import Grant

pytestmark = pytest.mark.virtual


def strays(it: Fleet) -> Strays:
    return Strays(it.made.directory, it.made.work, it.rehoming, it.made.clock)


async def left(it: Fleet, account: Account) -> None:
    """Its messages wait from here on, and whoever was about to move it is gone."""
    assert await it.rehoming._means.grants.leave([account.placement])


async def stopped(it: Fleet, account: Account) -> None:
    """The same, and its holder has let go of it."""
    await left(it, account)
    grant = await it.vault.open(account.session_id, epoch=account.placement.epoch, holder=it.boot(A))
    assert isinstance(grant, Grant)
    assert await it.vault.release([grant]) == {}
    del it.made.world.instances[A].sessions[account.session_id]


async def held(it: Fleet, account: Account, within_s: float = 20.0) -> Placement:
    async with asyncio.timeout(within_s):
        while (placement := await it.made.placement(account)).state is not PlacementState.HELD:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return placement


async def test_one_that_was_not_stopped_yet_stays_where_it_is() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")), running(strays(it)):
        (account,) = await it.accounts(1, A)
        await left(it, account)
        placement = await held(it, account)
        assert (placement.instance_url, placement.epoch) == (A, 1)


async def test_one_that_nobody_holds_is_opened_under_its_next_epoch() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")), running(strays(it)):
        (account,) = await it.accounts(1, A)
        await stopped(it, account)
        assert (await held(it, account)).epoch == 2
        sent = await it.made.send(account, "hello")
        assert it.made.world.ledger[-1][1] == "hello", sent


async def test_it_is_brought_to_an_end_even_if_nobody_was_to_move_it() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")), running(strays(it)):
        (account,) = await it.accounts(1, A)
        await it.made.directory.change_account(account, {"takeover": Takeover.NEVER})
        await stopped(it, account)
        assert (await held(it, account)).epoch == 2


async def test_what_somebody_brings_is_left_to_him() -> None:
    async with fleet(A, B) as it:
        (account,) = await it.accounts(1, A)
        await it.drains.drain(A)
        await left(it, account)
        await it.made.clock.sleep(10.0)
        assert await strays(it).look() == 0


async def test_a_session_that_has_begun_to_leave_comes_to_an_end_of_its_way_although_the_drain_was_taken_back() -> None:
    async with fleet(A, B) as it:
        going, waiting = await it.accounts(2, A)
        await it.drains.drain(A)
        await stopped(it, going)
        await it.drains.undrain(A)
        assert (await it.made.work.open_of(KIND, [going.session_id, waiting.session_id])).keys() == {going.session_id}
        async with running(it.gateway("g2")):
            assert (await held(it, going)).epoch == 2
            assert (await held(it, waiting)).epoch == 1

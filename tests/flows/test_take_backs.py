"""A stranger replaces a session: what is done about it, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from vault_fleet import Fleet, fleet, running
from worlds import A, B

from homing.decide.moves.rules import MovePolicy
from homing.flows.failover.replaced_sessions import REPLACED, TakeBacks
from homing.model.alerts import AlertKind
from homing.model.fleet import Account, Epoch, InstanceUrl, ListedSession, MoveKind, SessionStatus
from homing.ports import Page

pytestmark = pytest.mark.virtual


@asynccontextmanager
async def hearing(it: Fleet) -> AsyncIterator[TakeBacks]:
    take_backs = TakeBacks(it.made.directory, it.rehoming, it.made.clock, MovePolicy(), it.alerts)
    task = asyncio.create_task(take_backs.run())
    try:
        yield take_backs
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def row(account: Account, epoch: int, error: str = REPLACED) -> ListedSession:
    return ListedSession(account.session_id, SessionStatus.FAILED, epoch=Epoch(epoch), error=error)


async def status_of(it: Fleet, account: Account) -> SessionStatus:
    found = await it.made.directory.account(None, uuid=account.uuid)
    assert found is not None
    return found.status


async def replaced(it: Fleet, take_backs: TakeBacks, url: InstanceUrl, shown: ListedSession) -> None:
    """The instance lists it so, to everybody who asks, and some time passes."""
    for _ in range(3):
        take_backs.listed(url, shown)
    await asyncio.sleep(3.0)


async def test_a_session_is_taken_back_once_and_then_left_to_the_stranger() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")), hearing(it) as take_backs:
        (account,) = await it.accounts(1, A)
        await replaced(it, take_backs, A, row(account, 1))
        placement = await it.made.placement(account)
        assert (placement.instance_url, placement.epoch) == (A, 2)
        assert await status_of(it, account) is SessionStatus.CONNECTED
        assert it.alerts.counts() == {AlertKind.TAKEN_BACK: 1}
        await replaced(it, take_backs, A, row(account, 2))
        assert (await it.made.placement(account)).epoch == 2
        assert await status_of(it, account) is SessionStatus.QUARANTINED
        assert it.alerts.counts() == {AlertKind.QUARANTINED: 1}
        moves = await it.made.directory.moves(None, Page(limit=10), kind=MoveKind.TAKE_BACK)
        assert len(moves) == 1
        assert "for the first time" in moves[0].reason


async def test_who_was_replaced_by_the_next_holder_is_left_alone() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")), hearing(it) as take_backs:
        (account,) = await it.accounts(1, B)
        await replaced(it, take_backs, A, row(account, 1))
        assert (await it.made.placement(account)).epoch == 1
        assert await status_of(it, account) is SessionStatus.CONNECTED


async def test_other_errors_are_no_strangers() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")), hearing(it) as take_backs:
        (account,) = await it.accounts(1, A)
        await replaced(it, take_backs, A, row(account, 1, error="cannot connect"))
        assert (await it.made.placement(account)).epoch == 1


async def test_two_gateways_that_see_it_take_it_back_once() -> None:
    async with (
        fleet(A, B) as it,
        running(it.gateway("g1")),
        running(it.gateway("g2")),
        hearing(it) as one,
        hearing(it) as other,
    ):
        (account,) = await it.accounts(1, A)
        one.listed(A, row(account, 1))
        await asyncio.sleep(0.5)
        other.listed(A, row(account, 1))
        await asyncio.sleep(3.0)
        assert (await it.made.placement(account)).epoch == 2
        assert await status_of(it, account) is SessionStatus.CONNECTED

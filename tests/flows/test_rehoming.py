"""Bringing sessions back, by any gateway, exactly once: the flows on a real store, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from vault_fleet import Fleet, fleet, running
from worlds import A, B, C

from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.moves.move_jobs import KIND
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Account, InstanceUrl, MoveKind, PlacementState, Takeover
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import FailureCode, NotSent, Sent
from homing.model.work import JobState
from homing.ports import Page

pytestmark = pytest.mark.virtual


def wish(account: Account, cause: MoveCause = MoveCause.GONE, to_url: InstanceUrl | None = None) -> MoveRequest:
    placement = account.placement
    return MoveRequest(account.session_id, cause, "it is gone", placement.instance_url, placement.epoch, to_url)


async def lose(it: Fleet, url: InstanceUrl, accounts: Sequence[Account]) -> None:
    """The instance dies, and all its sessions are wished elsewhere."""
    it.well.gone.add(url)
    it.made.world.lose(url)
    await it.rehoming.want([wish(account) for account in accounts])


async def settled(it: Fleet, within_s: float = 60.0) -> None:
    """Until no job is open any more."""
    async with asyncio.timeout(within_s):
        while any(job.finished_at is None for job in await it.made.work.jobs(Page(limit=500), kind=KIND)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_lost_sessions_live_elsewhere_under_their_next_epoch() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        lost = await it.accounts(9, A)
        await lose(it, A, lost)
        await settled(it)
        for account in lost:
            placement = await it.made.placement(account)
            assert (placement.epoch, placement.state) == (2, PlacementState.HELD)
            assert placement.instance_url in (B, C)
            assert await it.vault.epoch(account.session_id) == 2
        moves = await it.made.directory.moves(None, Page(limit=50), kind=MoveKind.REHOME)
        assert {(move.from_url, move.fence, move.epoch) for move in moves} == {(A, "revoked", 2)}
        assert all(move.duration_ms is not None and {"waited", "grant", "start"} <= move.steps.keys() for move in moves)
        assert (MoveKind.REHOME, 9) in it.made.tally.moves or sum(n for _, n in it.made.tally.moves) >= 9


async def test_a_message_waits_for_its_session_and_goes_out_under_the_id_it_had() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        (account,) = await it.accounts(1, A)
        it.well.gone.add(A)
        it.made.world.lose(A)
        sending = asyncio.create_task(it.made.send(account, "hello", message_id="3EB0AAAA"))
        await asyncio.sleep(0.5)
        assert account.session_id in it.made.news.awaited()
        await it.rehoming.want([wish(account)])
        outcome = await sending
        assert isinstance(outcome, Sent)
        assert it.made.world.ledger == [("3EB0AAAA", "hello")]


async def test_two_gateways_bring_each_session_back_once() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")), running(it.gateway("g2")):
        lost = await it.accounts(30, A)
        await lose(it, A, lost)
        await settled(it)
        assert {(await it.made.placement(account)).epoch for account in lost} == {2}


@dataclass(slots=True)
class Gate:
    """Something that stops for ever when it is called: before it was done, or after."""

    inner: Callable[..., Any]
    after: bool
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *given: Any, **named: Any) -> Any:
        if self.after:
            await self.inner(*given, **named)
        self.reached.set()
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def dies_at(it: Fleet, part: Any, step: str, *, after: bool) -> AsyncIterator[None]:
    """A gateway that begins the jobs and is gone for good at this step."""
    original = getattr(part, step)
    gate = Gate(original, after)
    setattr(part, step, gate)
    jobs = await it.made.work.claim(KIND, owner="it dies here", limit=100, lease_s=3.0)
    doing = asyncio.create_task(it.rehoming.do(jobs))
    await gate.reached.wait()
    setattr(part, step, original)
    try:
        yield
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["fenced", "grant", "start_many", "arrive"])
async def test_whichever_step_a_gateway_dies_at_another_one_completes_it_once(step: str, after: bool) -> None:
    async with fleet(A, B, C) as it:
        lost = await it.accounts(4, A)
        await lose(it, A, lost)
        part = it.made.world if step == "start_many" else it.rehoming._means.grants
        async with dies_at(it, part, step, after=after), running(it.gateway("g2")):
            await settled(it, within_s=12.0)
            for account in lost:
                placement = await it.made.placement(account)
                assert (placement.epoch, placement.state) == (2, PlacementState.HELD)
            jobs = await it.made.work.jobs(Page(limit=50), kind=KIND)
            assert {job.state for job in jobs} == {JobState.DONE}
            assert len(await it.made.directory.moves(None, Page(limit=50), kind=MoveKind.REHOME)) == 4


async def test_a_target_that_dies_on_the_way_gives_way_to_the_next_one() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        (account,) = await it.accounts(1, A)
        await it.accounts(2, C)
        it.well.gone.add(A)
        it.made.world.lose(A)
        it.made.world.lose(B, Fault(Phase.REFUSED))
        await it.rehoming.want([wish(account)])
        await asyncio.sleep(1.0)
        assert (await it.made.placement(account)).instance_url == B
        it.well.gone.add(B)
        await settled(it)
        placement = await it.made.placement(account)
        assert (placement.instance_url, placement.epoch) == (C, 3)


async def test_where_nothing_has_room_the_sender_is_told_what_is_full() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        (account,) = await it.accounts(1, A)
        await it.accounts(1, B)
        await it.made.directory.change_instance(B, {"capacity": 1})
        await lose(it, A, [account])
        outcome = await it.made.send(account)
        assert isinstance(outcome, NotSent)
        assert outcome.code is FailureCode.NO_CAPACITY
        assert f"{B} is full (1 of 1 sessions)" in outcome.reason or "is full" in outcome.reason
        [alert] = it.alerts.of(Subject.session(account.session_id))
        assert (alert.kind, "is full" in alert.reason) == (AlertKind.NO_CAPACITY, True)
        await it.made.directory.change_instance(B, {"capacity": 2})
        await settled(it)
        assert it.alerts.standing() == []
        assert (await it.made.placement(account)).instance_url == B


async def test_what_is_not_moved_says_why_to_the_sender() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        (account,) = await it.accounts(1, A)
        await it.made.directory.change_account(account, {"takeover": Takeover.MANUAL})
        await lose(it, A, [account])
        outcome = await it.made.send(account)
        assert isinstance(outcome, NotSent)
        assert "takeover is set to manual" in outcome.reason
        assert (await it.made.placement(account)).epoch == 1


async def test_a_session_that_an_operator_opened_elsewhere_is_followed_and_not_taken() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        (account,) = await it.accounts(1, A)
        opened = await it.vault.open(account.session_id, epoch=None, holder=it.boot(B))
        it.made.world.hold(B, account.session_id, epoch=opened.epoch)
        await lose(it, A, [account])
        await settled(it)
        placement = await it.made.placement(account)
        assert (placement.instance_url, placement.epoch) == (B, 2)
        assert await it.vault.epoch(account.session_id) == 2


async def test_logins_are_paced_for_each_target_and_for_the_fleet() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        lost = await it.accounts(50, A)
        await lose(it, A, lost)
        await settled(it)
        at = sorted(move.at for move in await it.made.directory.moves(None, Page(limit=100), kind=MoveKind.REHOME))
        for number, moment in enumerate(at):
            within = [other for other in at[number:] if (other - moment).total_seconds() < 0.999]
            assert len(within) <= 20

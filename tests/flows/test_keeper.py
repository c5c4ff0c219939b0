"""What the keeper wishes when instances are gone, and when it wishes nothing; in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from test_watching import ModelLeases
from worlds import A, B, C, bench
from worlds import Bench as Sends

from homing.decide.fleet.brake import Engaged
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.discovery.wakeups import News
from homing.flows.failover.keeper import Keeper, KeeperPolicy
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.lab.sim.world import SeededEntropy
from homing.model.fleet import Account, InstanceState, InstanceUrl, SessionStatus, Takeover
from homing.model.instances.leases import Ended
from homing.model.sends.faults import Fault, Phase

pytestmark = pytest.mark.virtual

D = InstanceUrl("http://d:3001")


@dataclass(slots=True)
class Wishes:
    """What was wished, in order; a session is wished for once at a time, as the work table has it."""

    entered: list[MoveRequest] = field(default_factory=list)

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        new = [wish for wish in wishes if wish.session_id not in {each.session_id for each in self.entered}]
        self.entered += new
        return len(new)


@dataclass(slots=True)
class Bench:
    sends: Sends
    leases: ModelLeases
    keeper: Keeper
    news: News
    wishes: Wishes

    def kill(self, *urls: InstanceUrl) -> None:
        for url in urls:
            self.sends.world.lose(url, Fault(Phase.REFUSED))
            self.leases.stopped_s[url] = self.sends.clock.monotonic()

    async def live_on(self, url: InstanceUrl, count: int) -> list[Account]:
        return [await self.sends.account(url) for _ in range(count)]


@asynccontextmanager
async def kept(
    *urls: InstanceUrl, policy: KeeperPolicy | None = None, up: bool = True, placed: int = 0
) -> AsyncIterator[Bench]:
    """A keeper that has been at work for a while. With `up` false no instance was ever heard of."""
    async with bench(*urls) as sends:
        boots = {url: f"boot {url}" for url in urls if up}
        leases = ModelLeases(sends.clock, boots=boots)  # type: ignore[arg-type]
        for url in urls:
            for _ in range(placed):
                await sends.account(url)
            if not up:
                sends.world.lose(url, Fault(Phase.REFUSED))
        news, wishes = News(), Wishes()
        entropy = SeededEntropy(5, sends.clock)
        watching = Watching(leases, sends.world, sends.clock, entropy, WatchPolicy())  # type: ignore[arg-type]
        keeper = Keeper(watching, wishes, sends.directory, sends.world, news, sends.clock, policy or KeeperPolicy())
        running = [asyncio.create_task(part.run()) for part in (watching, keeper)]
        await asyncio.sleep(7.0)
        try:
            yield Bench(sends, leases, keeper, news, wishes)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def test_all_sessions_of_a_lost_instance_are_wished_elsewhere_those_that_somebody_waits_for_first() -> None:
    async with kept(A, B, C) as it:
        lost = await it.live_on(B, 5)
        await it.live_on(A, 3)
        with it.news.watch(lost[3].session_id):
            it.kill(B)
            await asyncio.sleep(4.0)
        assert {wish.session_id for wish in it.wishes.entered} == {account.session_id for account in lost}
        assert [wish.urgent for wish in it.wishes.entered] == [True, False, False, False, False]
        first = it.wishes.entered[0]
        assert (first.cause, first.from_url, first.from_epoch) == (MoveCause.GONE, B, 1)
        assert "refused connections twice" in first.reason


async def test_what_an_operator_keeps_for_himself_is_left_where_it_is() -> None:
    async with kept(A, B, C) as it:
        manual, auto = await it.live_on(B, 2)
        await it.sends.directory.change_account(manual, {"takeover": Takeover.MANUAL})
        it.kill(B)
        await asyncio.sleep(30.0)
        assert {wish.session_id for wish in it.wishes.entered} == {auto.session_id}


async def test_of_another_familys_gateway_nothing_is_taken_over_unasked() -> None:
    """Nothing fences a session there, whatever its account says."""
    async with kept(A, B, C) as it:
        await it.live_on(B, 2)
        ours = await it.live_on(C, 1)
        it.sends.world.drivers[B] = "waha"
        it.kill(B)
        it.kill(C)
        await asyncio.sleep(30.0)
        assert {wish.session_id for wish in it.wishes.entered} == {account.session_id for account in ours}


async def test_what_should_not_run_is_not_brought_back() -> None:
    async with kept(A, B, C) as it:
        stopped, quarantined, _ = await it.live_on(B, 3)
        await it.sends.directory.set_status(stopped.session_id, SessionStatus.STOPPED)
        await it.sends.directory.set_status(quarantined.session_id, SessionStatus.LOGGED_OUT)
        it.kill(B)
        await asyncio.sleep(10.0)
        assert len(it.wishes.entered) == 1


async def test_an_instance_said_to_have_exited_is_emptied_at_once() -> None:
    async with kept(A, B, C) as it:
        await it.live_on(B, 2)
        it.leases.ended[B] = Ended.EXITED
        await asyncio.sleep(1.2)
        assert [wish.cause for wish in it.wishes.entered] == [MoveCause.EXITED] * 2


async def test_when_most_of_the_fleet_seems_gone_nothing_is_moved() -> None:
    async with kept(A, B, C, D) as it:
        for url in (A, B, C, D):
            await it.live_on(url, 2)
        it.kill(A, B, C)
        await asyncio.sleep(20.0)
        assert isinstance(it.keeper.brake, Engaged)
        assert not it.wishes.entered


async def test_the_brake_lets_go_once_the_fleet_is_well_again() -> None:
    async with kept(A, B, C, D) as it:
        for url in (A, B, C, D):
            await it.live_on(url, 1)
        it.kill(A, B, C)
        await asyncio.sleep(5.0)
        for url in (A, B, C):
            it.sends.world.instances[url].down = None
            del it.leases.stopped_s[url]
            it.leases.boots[url] += " again"
        await asyncio.sleep(20.0)
        assert not isinstance(it.keeper.brake, Engaged)
        it.kill(B)
        await asyncio.sleep(5.0)
        assert {wish.from_url for wish in it.wishes.entered} == {B}


async def test_while_the_store_is_away_nothing_is_wished() -> None:
    async with kept(A, B, C) as it:
        await it.live_on(B, 2)
        it.leases.away = True
        it.kill(B)
        await asyncio.sleep(60.0)
        assert not it.wishes.entered
        it.leases.away = False
        await asyncio.sleep(10.0)
        assert len(it.wishes.entered) == 2


async def test_a_session_that_its_own_instance_does_not_have_is_wished_for_after_a_second_look() -> None:
    async with kept(A, B, C) as it:
        (lost,) = await it.live_on(B, 1)
        route = await it.sends.route(lost)
        it.keeper.missed(route)
        await asyncio.sleep(0.5)
        it.keeper.missed(route)
        await asyncio.sleep(0.2)
        assert not it.wishes.entered, "it may be coming up"
        await asyncio.sleep(0.5)
        it.keeper.missed(route)
        await asyncio.sleep(0.5)
        assert [wish.cause for wish in it.wishes.entered] == [MoveCause.MISSING]


async def test_nobody_is_moved_unasked_where_that_is_switched_off() -> None:
    async with kept(A, B, C, policy=KeeperPolicy(by_itself=False)) as it:
        await it.live_on(B, 2)
        it.kill(B)
        await asyncio.sleep(20.0)
        assert not it.wishes.entered


async def test_instances_that_were_never_up_did_not_fall_ill() -> None:
    async with kept(A, B, C, D, up=False) as it:
        await asyncio.sleep(20.0)
        assert not isinstance(it.keeper.brake, Engaged)
        for url in (A, B, C, D):
            it.sends.world.instances[url].down = None
        for _ in range(40):
            await asyncio.sleep(0.1)
            assert not isinstance(it.keeper.brake, Engaged), "having answered once is not to fall ill either"


async def test_instances_that_were_never_up_count_where_sessions_are_placed_on_them() -> None:
    """A gateway that starts on the wrong side of a cut network sees just this."""
    async with kept(A, B, C, D, up=False, placed=1) as it:
        assert isinstance(it.keeper.brake, Engaged)


async def test_what_was_emptied_for_a_deploy_does_not_count_for_the_brake() -> None:
    async with kept(A, B, C, D) as it:
        for url in (C, D):
            await it.live_on(url, 2)
        for url in (A, B):
            await it.sends.directory.set_instance_state(url, InstanceState.DRAINING)
        it.sends.world.draining = {A, B}
        it.kill(A, B)
        await asyncio.sleep(5.0)
        it.kill(C)
        await asyncio.sleep(5.0)
        assert {wish.from_url for wish in it.wishes.entered} == {C}

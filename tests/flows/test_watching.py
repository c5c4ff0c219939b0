"""How soon it is known that an instance is gone, and what never counts against it; in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from worlds import A, B, C, World

from homing.decide.fleet.leases import LeasePolicy
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.fleet import InstanceUrl
from homing.model.instances.health import Gone, HealthState
from homing.model.instances.leases import Ended, Heartbeats, Incarnation, IncarnationId, StoreIdentity
from homing.model.sends.faults import Fault, Phase
from homing.ports import StoreUnavailable

pytestmark = pytest.mark.virtual

LEASE = LeasePolicy()


@dataclass(slots=True)
class ModelLeases:
    """What the store says of boots whose heartbeats go on, each at its own phase, until they are stopped."""

    clock: VirtualClock
    stopped_s: dict[InstanceUrl, float] = field(default_factory=dict)
    phase_s: dict[InstanceUrl, float] = field(default_factory=dict)
    ended: dict[InstanceUrl, Ended] = field(default_factory=dict)
    boots: dict[InstanceUrl, str] = field(default_factory=dict)
    away: bool = False
    takes_s: float = 0.0
    timeline: int = 1
    reading: int = 0
    read_at_once: int = 0

    async def heartbeats(self) -> Heartbeats:
        self.reading += 1
        self.read_at_once = max(self.read_at_once, self.reading)
        await asyncio.sleep(self.takes_s)
        self.reading -= 1
        if self.away:
            raise StoreUnavailable("away")
        return Heartbeats(tuple(self._boot(url) for url in self.boots), StoreIdentity("store", self.timeline))

    def _boot(self, url: InstanceUrl) -> Incarnation:
        now_s = self.clock.monotonic()
        last_s = min(now_s, self.stopped_s.get(url, now_s))
        beats = (last_s + self.phase_s.get(url, 0.0)) // LEASE.heartbeat_s * LEASE.heartbeat_s
        renewed_ago_s = now_s - (beats - self.phase_s.get(url, 0.0))
        left_s = LEASE.expiry_s - renewed_ago_s
        boot = IncarnationId(self.boots[url])
        return Incarnation(boot, url, renewed_ago_s, left_s, now_s + 100.0, self.ended.get(url))


@dataclass(slots=True)
class Bench:
    clock: VirtualClock
    world: World
    leases: ModelLeases
    watching: Watching

    def kill(self, url: InstanceUrl) -> None:
        self.world.lose(url, Fault(Phase.REFUSED))
        self.leases.stopped_s[url] = self.clock.monotonic()

    def freeze(self, url: InstanceUrl) -> None:
        self.world.lose(url, Fault(Phase.REPLY_TIMED_OUT))
        self.leases.stopped_s[url] = self.clock.monotonic()

    async def until_gone(self, url: InstanceUrl, within_s: float = 60.0) -> float:
        """How long from now until it is judged to be gone."""
        began_s = self.clock.monotonic()
        async with asyncio.timeout(within_s):
            while self.watching.judged()[url].gone is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        return self.clock.monotonic() - began_s


@asynccontextmanager
async def watched() -> AsyncIterator[Bench]:
    clock = VirtualClock()
    world = World(clock, A, B, C)
    leases = ModelLeases(clock, boots={A: "a1", B: "b1", C: "c1"}, phase_s={A: 0.0, B: 0.37, C: 0.81})
    watching = Watching(leases, world, clock, SeededEntropy(3, clock), WatchPolicy())  # type: ignore[arg-type]
    running = asyncio.create_task(watching.run())
    await asyncio.sleep(LEASE.expiry_s + 1.0)
    try:
        yield Bench(clock, world, leases, watching)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.virtual(seeds=20)
async def test_a_killed_instance_is_gone_as_soon_as_its_heartbeat_is_overdue() -> None:
    async with watched() as bench:
        bench.kill(B)
        bench.watching.saw(B, Phase.REFUSED)
        assert await bench.until_gone(B) <= 1.1 * LEASE.heartbeat_s + 0.3
        assert bench.watching.judged()[B].gone is Gone.REFUSED
        assert bench.watching.down() == {B}


@pytest.mark.virtual(seeds=20)
async def test_a_killed_instance_that_nobody_writes_to_is_noticed_by_a_probe() -> None:
    async with watched() as bench:
        bench.kill(B)
        assert await bench.until_gone(B) <= 1.5 + 1.1 * LEASE.heartbeat_s + 0.3


@pytest.mark.virtual(seeds=20)
async def test_a_frozen_instance_is_gone_when_its_lease_has_run_out_and_not_before() -> None:
    async with watched() as bench:
        bench.freeze(B)
        took_s = await bench.until_gone(B)
        assert LEASE.expiry_s - LEASE.heartbeat_s <= took_s <= LEASE.expiry_s + 1.1
        assert bench.watching.judged()[B].gone is Gone.LAPSED


async def test_an_instance_that_cannot_be_reached_but_lives_is_in_doubt_and_not_gone() -> None:
    async with watched() as bench:
        bench.world.lose(B, Fault(Phase.CONNECT_TIMED_OUT))
        await asyncio.sleep(3.0)
        judged = bench.watching.judged()[B]
        assert (judged.state, judged.gone) == (HealthState.SUSPECT, None)
        assert B in bench.watching.unfit()


async def test_what_our_own_limits_kept_from_being_asked_is_no_evidence() -> None:
    async with watched() as bench:
        bench.world.lose(B, Fault(Phase.NOT_ATTEMPTED))
        for _ in range(100):
            bench.watching.saw(B, Phase.NOT_ATTEMPTED)
            await asyncio.sleep(0.1)
        assert bench.watching.judged()[B].state is HealthState.HEALTHY
        assert not bench.watching.unfit()


async def test_who_supervises_it_is_believed_at_once() -> None:
    async with watched() as bench:
        bench.leases.ended[B] = Ended.EXITED
        assert await bench.until_gone(B) <= 0.6


async def test_while_the_store_is_away_nobody_is_gone_and_nothing_is_granted() -> None:
    async with watched() as bench:
        assert bench.watching.may_grant() is None
        bench.leases.away = True
        await asyncio.sleep(20.0)
        assert all(judged.gone is None for judged in bench.watching.judged().values())
        assert bench.watching.may_grant() is not None
        bench.leases.away = False
        await asyncio.sleep(LEASE.expiry_s - 1.0)
        assert bench.watching.may_grant() is not None, "live holders renew first"
        await asyncio.sleep(2.0)
        assert bench.watching.may_grant() is None


async def test_after_a_failover_live_holders_declare_themselves_before_anything_is_granted() -> None:
    async with watched() as bench:
        bench.leases.timeline = 2
        await asyncio.sleep(1.0)
        assert bench.watching.may_grant() is not None
        await asyncio.sleep(LEASE.expiry_s)
        assert bench.watching.may_grant() is None


async def test_a_gateway_that_has_just_begun_grants_nothing_for_one_lease() -> None:
    clock = VirtualClock()
    leases = ModelLeases(clock, boots={A: "a1"})
    watching = Watching(leases, World(clock, A), clock, SeededEntropy(3, clock), WatchPolicy())  # type: ignore[arg-type]
    assert watching.may_grant() is not None


async def test_an_instance_that_is_back_is_trusted_after_two_answers() -> None:
    async with watched() as bench:
        bench.kill(B)
        await bench.until_gone(B)
        bench.world.instances[B].down = None
        del bench.leases.stopped_s[B]
        bench.leases.boots[B] = "b2"
        async with asyncio.timeout(5.0):
            while bench.watching.judged()[B].state is not HealthState.HEALTHY:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        assert bench.watching.down() == frozenset()


async def test_an_instance_that_left_the_roster_is_asked_no_more() -> None:
    async with watched() as bench:
        del bench.world.instances[C]
        await asyncio.sleep(3.0)
        assert set(bench.watching.judged()) == {A, B}


async def test_however_many_are_in_doubt_leases_are_read_once_at_a_time() -> None:
    async with watched() as bench:
        bench.leases.takes_s = 0.3
        for url in (A, B, C):
            bench.freeze(url)
        await asyncio.sleep(LEASE.expiry_s + 4.0)
        assert {judged.gone for judged in bench.watching.judged().values()} == {Gone.LAPSED}
        assert bench.leases.read_at_once == 1


async def test_a_doubt_is_worth_a_look_at_once() -> None:
    async with watched() as bench:
        bench.watching.worth_a_look.clear()
        bench.freeze(B)
        await asyncio.wait_for(bench.watching.worth_a_look.wait(), 3.0)
        judged = bench.watching.judged()[B]
        assert (judged.state, judged.gone) == (HealthState.SUSPECT, None)

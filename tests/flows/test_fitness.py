"""Which instances answer and do not work as they are set up; in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from vault_fleet import running
from worlds import A, B, C, World

from homing.drivers import Drivers
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.listings import Lists
from homing.flows.failover.fitness import EVERY_S, Fitness
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Instance, InstanceUrl, NoList, SessionId
from homing.model.instances.gateways import Recognised, RecognisedGateway
from homing.model.sends.faults import Fault, Phase
from homing.ports import Roster, SessionStart
from homing.routing.roster import LiveFleet

pytestmark = pytest.mark.virtual

WRONG_KEY = Fault(Phase.UNAUTHORISED, "Invalid API key", 401)
NO_PATH = Fault(Phase.PATH_NOT_FOUND, "Cannot GET /api/sessions", 404)
EVOLUTION = Recognised(
    RecognisedGateway("evolution", "Evolution API", "2.3.6"), "Express, which answers /health with 404"
)
NODE = Recognised(RecognisedGateway("webjs", "the webjs Node service"), "Express, which answers /health with 200")
NGINX = Recognised(None, "nginx/1.24, which answers /health with 404")


@dataclass
class Bench:
    world: World
    fleet: LiveFleet
    fitness: Fitness
    alerts: AlertBook
    there: dict[InstanceUrl, Recognised | Fault] = field(default_factory=dict)
    asked: list[InstanceUrl] = field(default_factory=list)

    def reason(self, url: InstanceUrl) -> str | None:
        alerts = self.alerts.of(Subject.instance(url))
        known = self.fitness.misconfigured().get(url)
        assert [each.reason for each in alerts] == ([known] if known else [])
        return known

    @property
    def lists(self) -> int:
        return sum(instance.lists for instance in self.world.instances.values())


@asynccontextmanager
async def checked(*urls: InstanceUrl) -> AsyncIterator[Bench]:
    clock = VirtualClock()
    world = World(clock, *urls)
    fleet = LiveFleet(None, Drivers({"webjs": world}), clock)  # type: ignore[arg-type]
    fleet._roster = Roster({url: Instance(number, url) for number, url in enumerate(urls, start=1)})
    alerts = AlertBook(None, clock)  # type: ignore[arg-type]
    there: dict[InstanceUrl, Recognised | Fault] = {}
    asked: list[InstanceUrl] = []

    async def recognise(url: InstanceUrl) -> Recognised | Fault | None:
        asked.append(url)
        return there.get(url)

    fitness = Fitness(fleet, alerts, clock, SeededEntropy(3, clock), recognise, fleet.withhold)
    async with running(fitness):
        yield Bench(world, fleet, fitness, alerts, there, asked)


async def test_each_instance_is_looked_at_soon_after_the_start_and_now_and_then() -> None:
    async with checked(A, B, C) as it:
        await asyncio.sleep(2.5)
        assert [each.lists for each in it.world.instances.values()] == [1, 1, 1]
        await asyncio.sleep(10 * EVERY_S)
        assert all(8 <= each.lists <= 15 for each in it.world.instances.values())


async def test_one_that_comes_up_later_than_the_gateway_is_looked_at_within_seconds() -> None:
    async with checked(A, B, C) as it:
        it.world.lose(B, Fault(Phase.REFUSED))
        await asyncio.sleep(20)
        it.world.instances[B].down, it.world.instances[B].list_fault = None, WRONG_KEY
        await asyncio.sleep(7)
        assert it.reason(B) is not None


async def test_a_thousand_instances_cost_no_more_than_twenty_lists_a_second() -> None:
    async with checked(*(InstanceUrl(f"http://wa{n}:3001") for n in range(1_000))) as it:
        await asyncio.sleep(60)
        assert it.lists >= 1_000
        before = it.lists
        await asyncio.sleep(100)
        assert it.lists - before <= 2_700


async def test_a_list_that_others_read_counts() -> None:
    async with checked(A) as it:
        lists = Lists(it.fleet, it.fitness._clock, heard=it.fitness.listed)
        await asyncio.sleep(2.5)
        for _ in range(20):
            await asyncio.sleep(10)
            await lists.read(A)
        assert it.world.instances[A].lists == 21


@pytest.mark.parametrize("by", ["list", "send"])
async def test_a_key_that_is_refused_is_known_at_once_and_forgotten_when_it_works(by: str) -> None:
    async with checked(A, B) as it:
        await asyncio.sleep(5)
        it.world.instances[A].list_fault, it.there[A] = WRONG_KEY, NODE
        if by == "send":
            it.fitness.met(A, Phase.UNAUTHORISED)
        else:
            it.fitness.listed(NoList(A, "401", WRONG_KEY))
        await asyncio.sleep(0.5)
        assert "does not accept our API key" in (it.reason(A) or "")
        assert it.reason(B) is None
        it.world.instances[A].list_fault = None
        await asyncio.sleep(7)
        assert it.reason(A) is None


async def test_a_gateway_without_its_licence_is_known_at_once_and_forgotten_when_it_has_one() -> None:
    async with checked(A, B) as it:
        await asyncio.sleep(5)
        it.world.instances[A].list_fault, it.there[A] = Fault(Phase.UNLICENSED, "LICENSE_REQUIRED", 503), NODE
        it.fitness.met(A, Phase.UNLICENSED)
        await asyncio.sleep(0.5)
        assert "LICENSE_REQUIRED" in (it.reason(A) or "")
        assert it.alerts.counts() == {AlertKind.LICENCE_MISSING: 1}
        assert it.reason(B) is None
        it.world.instances[A].list_fault = None
        await asyncio.sleep(7)
        assert it.reason(A) is None


async def test_a_health_without_a_list_is_told_after_two_readings_and_not_after_one() -> None:
    async with checked(A) as it:
        it.there[A], it.world.instances[A].list_fault = NODE, NO_PATH
        await asyncio.sleep(2.1)
        assert it.reason(A) is None
        await asyncio.sleep(3)
        assert "answers /health as the webjs Node service, and gives no list" in (it.reason(A) or "")


async def test_another_family_after_a_deploy_is_named_and_only_looked_at() -> None:
    async with checked(A) as it:
        it.world.hold(A, SessionId("s"))
        await asyncio.sleep(5)
        it.world.instances[A].list_fault, it.there[A] = NO_PATH, EVOLUTION
        await asyncio.sleep(EVERY_S * 1.3 + 1)
        reason = it.reason(A) or ""
        assert "Evolution API 2.3.6" in reason and "webjs" in reason
        start = SessionStart(SessionId("s"), 1, 1, 1)  # type: ignore[arg-type]
        for call in (it.fleet.driver(A).stop, it.fleet.driver(A).logout, it.fleet.driver(A).start):
            answer = await call(A, start, timeout_s=1)
            assert isinstance(answer, Fault) and "nothing was sent" in answer.detail
        assert SessionId("s") in it.world.instances[A].sessions
        it.world.instances[A].list_fault = None
        listed = it.lists
        await asyncio.sleep(20)
        assert it.reason(A) is not None and it.lists == listed, "it is not shown our key"
        it.there[A] = Fault(Phase.REFUSED)
        await asyncio.sleep(20)
        assert it.reason(A) is not None and it.lists == listed, "nor while it cannot be asked"
        del it.there[A]
        await asyncio.sleep(7)
        assert it.reason(A) is None
        assert await it.fleet.driver(A).stop(A, start, timeout_s=1) is None


async def test_a_driver_that_only_another_version_of_homing_has_is_no_reason_to_fail() -> None:
    async with checked(A, B) as it:
        it.fleet._roster = Roster({A: Instance(1, A, driver="fax"), B: Instance(2, B)})
        it.there[A], it.world.instances[A].list_fault = EVOLUTION, NO_PATH
        await asyncio.sleep(5)
        assert "Evolution API 2.3.6, and it is set up as fax" in (it.reason(A) or "")
        assert it.reason(B) is None
        start = SessionStart(SessionId("s"), 1, 1, 1)  # type: ignore[arg-type]
        assert isinstance(await it.fleet.driver(A).start(A, start, timeout_s=1), Fault)


async def test_what_is_no_gateway_at_all_is_described() -> None:
    async with checked(A) as it:
        it.there[A], it.world.instances[A].list_fault = NGINX, Fault(Phase.REPLY_MALFORMED)
        await asyncio.sleep(6)
        assert "no gateway that we know: nginx/1.24" in (it.reason(A) or "")


@pytest.mark.parametrize(
    "phase", [Phase.REFUSED, Phase.REPLY_TIMED_OUT, Phase.INTERRUPTED, Phase.BAD_GATEWAY, Phase.NOT_ATTEMPTED]
)
async def test_an_instance_that_is_away_is_not_misconfigured_and_nobody_is_asked_what_it_is(phase: Phase) -> None:
    async with checked(A) as it:
        it.world.instances[A].down = Fault(phase)
        await asyncio.sleep(100)
        assert (it.reason(A), it.asked) == (None, [])


async def test_one_that_is_away_stays_what_it_was_until_it_works() -> None:
    async with checked(A) as it:
        it.world.instances[A].list_fault = WRONG_KEY
        await asyncio.sleep(3)
        it.world.instances[A].list_fault = Fault(Phase.REFUSED)
        await asyncio.sleep(100)
        assert "API key" in (it.reason(A) or "")


async def test_one_that_left_the_fleet_is_forgotten() -> None:
    async with checked(A, B) as it:
        it.there[A], it.world.instances[A].list_fault = EVOLUTION, NO_PATH
        await asyncio.sleep(5)
        assert it.fitness.is_misconfigured(A)
        it.fleet._roster = Roster({B: Instance(2, B)})
        await asyncio.sleep(2)
        assert it.fitness.misconfigured() == {}
        lists = it.world.instances[A].lists
        await asyncio.sleep(100)
        assert it.world.instances[A].lists == lists
        assert AlertKind.INSTANCE_MISCONFIGURED not in it.alerts.counts()

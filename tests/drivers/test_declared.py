"""What an instance declared is asked for once, believed for a while, and taken back when it proves wrong."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from clocks import SteppedClock
from homing.drivers.around.declared import ASKED_AGAIN_AFTER_S, BELIEVED_S, WITHDRAWN_S, Declared
from homing.drivers.http.wire import Wire
from homing.drivers.webjs.driver import WebjsDriver
from homing.model.fleet import Capabilities, InstanceUrl
from homing.model.sends.faults import Fault, Phase
from homing.ports import InstanceHealth

AT, OTHER = InstanceUrl("http://localhost:3001"), InstanceUrl("http://localhost:3002")
OURS = Capabilities(choose_message_id=True, honour_epoch=True)


class Health(WebjsDriver):
    """A driver whose instances answer what the test wants, when it wants."""

    def __init__(self) -> None:
        super().__init__(Wire())
        self.asked: list[InstanceUrl] = []
        self.answer: InstanceHealth | Fault = InstanceHealth(OURS, incarnation="first")
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        self.asked.append(instance)
        await self.may_answer.wait()
        return self.answer


@pytest.fixture
def driver() -> Health:
    return Health()


@pytest.fixture
async def declared(driver: Health, clock: SteppedClock) -> AsyncIterator[Declared]:
    declared = Declared(driver, clock)
    yield declared
    await declared.close()


async def can(declared: Declared, at: InstanceUrl = AT) -> Capabilities | Fault:
    return await declared.capabilities(at, timeout_s=0.2)


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_an_instance_is_asked_once_for_all_who_want_to_know_at_once(declared: Declared, driver: Health) -> None:
    assert await asyncio.gather(*(can(declared) for _ in range(20))) == [OURS] * 20
    assert await can(declared) == OURS
    assert driver.asked == [AT]
    await can(declared, OTHER)
    assert driver.asked == [AT, OTHER]


async def test_an_old_answer_serves_on_while_a_new_one_is_fetched(
    declared: Declared, driver: Health, clock: SteppedClock
) -> None:
    await can(declared)
    clock.advance(BELIEVED_S - 1)
    assert await can(declared) == OURS
    assert len(driver.asked) == 1
    clock.advance(1)
    driver.may_answer.clear()
    driver.answer = InstanceHealth(Capabilities())
    assert [await can(declared) for _ in range(3)] == [OURS] * 3
    await settled()
    assert len(driver.asked) == 2
    driver.may_answer.set()
    await settled()
    assert await can(declared) == Capabilities()


async def test_a_refresh_that_fails_keeps_the_old_answer_and_is_not_repeated_at_once(
    declared: Declared, driver: Health, clock: SteppedClock
) -> None:
    await can(declared)
    clock.advance(BELIEVED_S)
    driver.answer = Fault(Phase.REFUSED)
    for _ in range(5):
        assert await can(declared) == OURS
        await settled()
    assert len(driver.asked) == 2
    clock.advance(ASKED_AGAIN_AFTER_S)
    await can(declared)
    await settled()
    assert len(driver.asked) == 3


async def test_a_fault_is_answered_and_not_remembered(declared: Declared, driver: Health) -> None:
    driver.answer = Fault(Phase.REFUSED)
    assert await can(declared) == Fault(Phase.REFUSED)
    driver.answer = InstanceHealth(OURS)
    assert await can(declared) == OURS


async def test_each_who_waits_waits_no_longer_than_it_wants_to(declared: Declared, driver: Health) -> None:
    driver.may_answer.clear()
    patient = asyncio.create_task(declared.capabilities(AT, timeout_s=5.0))
    await settled()
    ended = await declared.capabilities(AT, timeout_s=0.02)
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.REPLY_TIMED_OUT
    driver.may_answer.set()
    assert await patient == OURS
    assert len(driver.asked) == 1


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(declared: Declared, driver: Health) -> None:
    driver.may_answer.clear()
    first, second = (asyncio.create_task(can(declared)) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    driver.may_answer.set()
    assert await second == OURS


async def test_a_forgotten_instance_is_asked_again_and_an_answer_on_its_way_counts_no_more(
    declared: Declared, driver: Health
) -> None:
    await can(declared)
    declared.forget(AT)
    driver.may_answer.clear()
    before = asyncio.create_task(can(declared))
    await settled()
    declared.forget(AT)
    driver.may_answer.set()
    await before
    assert declared.incarnation(AT) is None
    await can(declared)
    assert len(driver.asked) == 3


async def test_who_needs_to_know_it_now_asks_and_the_others_do_not_wait(declared: Declared, driver: Health) -> None:
    await can(declared)
    driver.may_answer.clear()
    anew = asyncio.create_task(declared.capabilities(AT, timeout_s=1.0, fresh=True))
    await settled()
    assert await can(declared) == OURS
    assert not anew.done()
    driver.may_answer.set()
    assert await anew == OURS
    assert len(driver.asked) == 2


async def test_a_withdrawn_message_id_stays_withdrawn_until_another_incarnation(
    declared: Declared, driver: Health, clock: SteppedClock
) -> None:
    await can(declared)
    declared.withdraw_message_id(AT)
    clock.advance(10 * WITHDRAWN_S)
    assert await can(declared) == OURS.without_message_id()
    declared.forget(AT)
    assert await can(declared) == OURS.without_message_id()
    assert await can(declared, OTHER) == OURS
    declared.forget(AT)
    driver.answer = InstanceHealth(OURS, incarnation="second")
    assert await can(declared) == OURS


@pytest.mark.parametrize("told", [None, "first"], ids=["no incarnation is told", "none was known"])
async def test_where_no_incarnation_is_known_a_message_id_stays_withdrawn_for_an_hour(
    declared: Declared, driver: Health, clock: SteppedClock, told: str | None
) -> None:
    driver.answer = InstanceHealth(OURS, incarnation=told)
    declared.withdraw_message_id(AT)
    clock.advance(WITHDRAWN_S - 1)
    assert await can(declared) == OURS.without_message_id()
    clock.advance(1)
    assert await can(declared) == OURS

"""A gateway is ready if it can write, and finding that out costs one write a second at most."""

import asyncio

import pytest

from homing.flows.background.readiness import PROVE_EVERY_S, Readiness
from homing.lab.sim.world import VirtualClock
from homing.ports import StoreUnavailable

pytestmark = pytest.mark.virtual


class Writes:
    """A store that takes writes, refuses them for a reason, or says nothing."""

    def __init__(self) -> None:
        self.made = 0
        self.refuses: str | None = None
        self.silent = False

    async def prove(self) -> None:
        self.made += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.refuses is not None:
            raise StoreUnavailable(self.refuses)
        await asyncio.sleep(0.01)


async def test_many_probes_at_once_cost_one_write() -> None:
    writes = Writes()
    readiness = Readiness(writes, VirtualClock())
    assert await asyncio.gather(*(readiness.lacking() for _ in range(50))) == [None] * 50
    assert await readiness.lacking() is None
    assert writes.made == 1
    await asyncio.sleep(PROVE_EVERY_S)
    await readiness.lacking()
    assert writes.made == 2


async def test_a_refused_write_is_told_with_its_reason_and_forgotten_once_one_is_taken() -> None:
    writes = Writes()
    readiness = Readiness(writes, VirtualClock())
    writes.refuses = "the disk is full"
    assert await readiness.lacking() == "the disk is full"
    writes.refuses = None
    assert await readiness.lacking() == "the disk is full", "known for a second"
    await asyncio.sleep(PROVE_EVERY_S)
    assert await readiness.lacking() is None


async def test_a_silent_store_is_answered_for_within_a_second_and_asked_again() -> None:
    writes = Writes()
    readiness = Readiness(writes, VirtualClock())
    writes.silent = True
    began_s = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(readiness.lacking() for _ in range(5)))
    assert all(answers)
    assert asyncio.get_running_loop().time() - began_s <= 1.0
    writes.silent = False
    await asyncio.sleep(2.5)
    assert await readiness.lacking() is None
    assert writes.made == 2

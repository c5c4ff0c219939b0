"""Reading the lists of all instances."""

import asyncio

import pytest

from homing.flows.discovery.listings import Lists
from homing.lab.sim.world import VirtualClock
from homing.model.fleet import SessionList
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import A, World

pytestmark = pytest.mark.virtual


@pytest.mark.parametrize(("phase", "patient"), [(Phase.REPLY_TIMED_OUT, False), (Phase.NOT_ATTEMPTED, True)])
async def test_only_an_instance_that_failed_itself_is_given_less_time(phase: Phase, patient: bool) -> None:
    clock = VirtualClock()
    world = World(clock, A)
    lists, instance = Lists(world, clock, timeout_s=2.0), world.instances[A]
    instance.list_fault = Fault(phase)
    await lists.read(A)
    instance.list_fault, instance.list_takes_s = None, 1.0
    async with asyncio.timeout(5):
        assert isinstance(await lists.read(A), SessionList) is patient

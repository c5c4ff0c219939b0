"""Where a session should live."""

from homing.decide import placement
from homing.decide.placement import Chosen, NoRoom
from homing.decide.rooms import Load
from homing.model.fleet import Instance, InstanceState, InstanceUrl


def load(number: int, sessions: int, capacity: int | None = None, state: InstanceState = InstanceState.ACTIVE) -> Load:
    return Load(Instance(number, InstanceUrl(f"http://i{number}:1"), state=state, capacity=capacity), sessions)


def test_a_session_goes_to_the_least_used_instance() -> None:
    chosen = placement.choose([load(1, 3), load(2, 1), load(3, 1)])
    assert isinstance(chosen, Chosen)
    assert chosen.instance.id == 2
    assert chosen.reason == "http://i2:1 is the least used of 3 that may hold it: 1 session"


def test_full_draining_and_silent_instances_take_nothing_and_are_named() -> None:
    loads = [load(1, 5, capacity=5), load(2, 0, state=InstanceState.DRAINING), load(3, 0)]
    refused = placement.choose(loads, unfit={InstanceUrl("http://i3:1"): "does not answer"})
    assert isinstance(refused, NoRoom)
    assert refused.reason == "http://i1:1 is full (5 of 5); http://i2:1 is draining; http://i3:1 does not answer"
    assert placement.choose([]) == NoRoom("no instance is known")

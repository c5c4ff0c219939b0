"""A process that gets no further file descriptor says so."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from clocks import SteppedClock
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.background.descriptors import DescriptorWatch
from homing.model.alerts import AlertKind
from homing.world import is_descriptor_left


def test_no_descriptor_left_is_an_alert_until_there_is_one() -> None:
    alerts = AlertBook(Unkept(), SteppedClock())
    left = True
    watch = DescriptorWatch(lambda: left, alerts, SteppedClock())
    watch.look()
    assert not alerts.standing()
    left = False
    watch.look()
    assert [alert.kind for alert in alerts.standing()] == [AlertKind.DESCRIPTORS_USED_UP]
    left = True
    watch.look()
    assert not alerts.standing()


@contextmanager
def at_the_limit() -> Iterator[None]:
    """With as few descriptors as are open already."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)


def test_the_system_is_asked_by_opening_one() -> None:
    assert is_descriptor_left()
    with at_the_limit():
        assert not is_descriptor_left()
    assert is_descriptor_left()

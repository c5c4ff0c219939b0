"""Noticing that this process gets no further file descriptor.

Who connects then waits for an answer that does not come, and nothing else would say why: the system refuses the
connection before any code of ours sees it.
"""

from collections.abc import Callable

from homing.flows.background.alerts import AlertBook
from homing.model.alerts import FLEET, AlertKind
from homing.ports import Clock

LOOK_EVERY_S = 1.0
REASON = "the system gives this gateway no further file descriptor: it can accept and open no connection"


class DescriptorWatch:
    """Raises the alert while there is none to be had, and resolves it."""

    def __init__(self, is_one_left: Callable[[], bool], alerts: AlertBook, clock: Clock) -> None:
        self._is_one_left, self._alerts, self._clock = is_one_left, alerts, clock
        self._raised = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """One look. What another gateway raised is left to it."""
        if not self._is_one_left():
            self._raised = True
            self._alerts.raised(AlertKind.DESCRIPTORS_USED_UP, FLEET, REASON)
        elif self._raised:
            self._raised = False
            self._alerts.resolved(AlertKind.DESCRIPTORS_USED_UP, FLEET)

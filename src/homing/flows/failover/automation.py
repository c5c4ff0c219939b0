"""Whether sessions are moved without anybody asking: one switch for all gateways of a directory."""

import structlog

from homing.model.errors import Code, Problem
from homing.model.instances.steering import AutomationSet
from homing.ports import Clock, StoreUnavailable
from homing.ports.instances.steering import Steering

log = structlog.get_logger("homing")

READ_EVERY_S = 1.0


class Automation:
    """Reads the switch now and then. `allowed`: whether this gateway's settings let it be on at all."""

    def __init__(self, kept: Steering, clock: Clock, *, allowed: bool) -> None:
        self._kept, self._clock, self.allowed = kept, clock, allowed
        self._set = AutomationSet()

    @property
    def set(self) -> AutomationSet:
        """What was said last, as far as this gateway has read it."""
        return self._set

    def is_on(self) -> bool:
        return self.allowed and self._set.on

    async def run(self) -> None:
        """Follow what is said on other gateways, until cancelled. What cannot be read now stays as it was."""
        while True:
            try:
                self._take(await self._kept.automation())
            except StoreUnavailable:
                log.debug("Whether automation is on could not be read")
            await self._clock.sleep(READ_EVERY_S)

    async def turn(self, *, on: bool, by: str) -> AutomationSet:
        """Raises Problem where the settings keep it off."""
        if on and not self.allowed:
            raise Problem(Code.NOT_SUPPORTED, "Automation is off by HOMING_AUTO_REHOME; change that setting")
        wanted = AutomationSet(on, by, self._clock.now())
        await self._kept.set_automation(wanted)
        self._take(wanted)
        return wanted

    def _take(self, found: AutomationSet) -> None:
        if found.on is not self._set.on:
            log.warning("Automation is turned on" if found.on else "Automation is turned off", by=found.by)
        self._set = found

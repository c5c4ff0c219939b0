"""Forgetting what nobody needs any more: finished jobs, and boots of instances that are long gone."""

import structlog

from homing.ports import Clock, Leases, StoreUnavailable, Work

log = structlog.get_logger("homing")

EVERY_S = 600.0
DONE_KEPT_S = 3_600.0
DEAD_KEPT_S = 7 * 86_400.0
BOOTS_KEPT_S = 86_400.0
AT_ONCE = 10_000


class Housekeeping:
    """Every gateway does it; what one has forgotten, another need not."""

    def __init__(self, work: Work, leases: Leases, clock: Clock) -> None:
        self._work, self._leases, self._clock = work, leases, clock

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                await self.tidy()
            except StoreUnavailable as error:
                log.warning("What is old could not be forgotten", error=str(error))

    async def tidy(self) -> None:
        """Forget what is old now. Raises StoreUnavailable."""
        while await self._work.prune(done_keep_s=DONE_KEPT_S, dead_keep_s=DEAD_KEPT_S, limit=AT_ONCE) >= AT_ONCE:
            await self._clock.sleep(0.1)
        await self._leases.prune(keep_s=BOOTS_KEPT_S)

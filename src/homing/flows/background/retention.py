"""Forgetting what nobody needs any more: finished jobs, boots of instances that are long gone, old messages."""

import structlog

from homing.ports import Clock, Leases, Reservations, StoreUnavailable, Work

log = structlog.get_logger("homing")

EVERY_S = 600.0
DONE_KEPT_S = 3_600.0
DEAD_KEPT_S = 7 * 86_400.0
BOOTS_KEPT_S = 86_400.0
AT_ONCE = 10_000


class Housekeeping:
    """Every gateway does it; what one has forgotten, another need not.

    `messages_kept_s` is how long a client may send again what was sent, under the same key.
    """

    def __init__(
        self, work: Work, leases: Leases, reservations: Reservations, clock: Clock, *, messages_kept_s: float
    ) -> None:
        self._work, self._leases, self._reservations, self._clock = work, leases, reservations, clock
        self._messages_kept_s = messages_kept_s

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
        while await self._reservations.prune(keep_s=self._messages_kept_s, limit=AT_ONCE) >= AT_ONCE:
            await self._clock.sleep(0.1)
        await self._leases.prune(keep_s=BOOTS_KEPT_S)

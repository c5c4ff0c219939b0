"""Forgetting what nobody needs any more: finished jobs, boots of instances that are long gone, old messages."""

import structlog

from homing.ports import Clock, Leases, Outbox, Reservations, StoreUnavailable, Work

log = structlog.get_logger("homing")

EVERY_S = 600.0
DONE_KEPT_S = 3_600.0
DEAD_KEPT_S = 7 * 86_400.0
BOOTS_KEPT_S = 86_400.0
AT_ONCE = 10_000
MESSAGES_AT_ONCE = 2_000
PAUSE_S = 0.1
"""Between two parts of what is forgotten, each a transaction: others have their turn."""


class Housekeeping:
    """Every gateway does it; what one has forgotten, another need not.

    `keys_kept_s` is how long a client may send again what was sent, under the same key; `messages_kept_s` how long
    messages are kept after they ended, 0: for ever; `sent_kept_s` how long a recipient may ask for what he could not
    read.
    """

    def __init__(
        self,
        work: Work,
        leases: Leases,
        reservations: Reservations,
        outbox: Outbox,
        clock: Clock,
        *,
        keys_kept_s: float,
        messages_kept_s: float,
        sent_kept_s: float,
    ) -> None:
        self._work, self._leases, self._reservations, self._clock = work, leases, reservations, clock
        self._outbox = outbox
        self._keys_kept_s, self._messages_kept_s, self._sent_kept_s = keys_kept_s, messages_kept_s, sent_kept_s

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
            await self._clock.sleep(PAUSE_S)
        while await self._reservations.prune(keep_s=self._keys_kept_s, limit=AT_ONCE) >= AT_ONCE:
            await self._clock.sleep(PAUSE_S)
        while await self._reservations.forget_sent(keep_s=self._sent_kept_s, limit=AT_ONCE) >= AT_ONCE:
            await self._clock.sleep(PAUSE_S)
        await self._leases.prune(keep_s=BOOTS_KEPT_S)
        if self._messages_kept_s:
            await self._forget_messages()

    async def _forget_messages(self) -> None:
        after: str | None = ""
        gone = 0
        while after is not None:
            part = await self._outbox.prune(keep_s=self._messages_kept_s, after=after, limit=MESSAGES_AT_ONCE)
            gone, after = gone + part.gone, part.next_after
            if after is not None:
                await self._clock.sleep(PAUSE_S)
        if gone:
            log.info("Messages that ended long ago are deleted", messages=gone, kept_s=self._messages_kept_s)

"""Reports whose gateway died after it had stored them and before it followed them.

Following a hint takes a moment, and is remembered by nobody but the gateway that took it in. So every gateway looks
some seconds later at what was stored by anybody, and follows what concerns a session that nobody has seen since.
"""

import structlog

from homing.decide.reports import meanings
from homing.decide.reports.hints import Hint
from homing.flows.webhooks.hints import Hints
from homing.model.notices import Notice
from homing.ports import Clock, Events, EventsStored, StoreUnavailable

log = structlog.get_logger("homing")

LOOK_EVERY_S = 5.0
LOOK_BACK = 1_000
"""So many events before its own beginning a gateway looks through as well: it may be the one that died."""


class Overlooked:
    """Looks once at each event, between one and two times `LOOK_EVERY_S` after it was stored."""

    def __init__(self, store: Events, hints: Hints, clock: Clock) -> None:
        self._store, self._hints, self._clock = store, hints, clock
        self._newest = 0

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, EventsStored):
            self._newest = max(self._newest, notice.sequence)

    async def run(self) -> None:
        """Look until cancelled."""
        after, until = await self._beginning()
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            if until > after:
                try:
                    await self._look(after, until)
                except StoreUnavailable as error:
                    log.warning("Reports that were perhaps not followed could not be read", error=str(error))
                    continue
            after, until = until, max(until, self._newest)

    async def _beginning(self) -> tuple[int, int]:
        while True:
            try:
                newest = await self._store.last_sequence()
                return max(0, newest - LOOK_BACK), newest
            except StoreUnavailable:
                await self._clock.sleep(LOOK_EVERY_S)

    async def _look(self, after: int, until: int) -> None:
        unseen = await self._store.unseen_since(meanings.HINTS, after=after, until=until)
        found = [Hint(event.session_id, event.kind, event.instance_url) for event in unseen if event.session_id]
        for hint in found:
            self._hints.offer(hint)
        if found:
            log.warning("Reports that nobody had followed are followed now", reports=len(found))

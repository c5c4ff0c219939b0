"""Seeing to it that each endpoint has a turn while something is due for it; and what is over is forgotten.

Who stores an event need not know of turns: word of new events wakes this, and it looks now and then unasked, so that
neither a lost word nor a turn that ended a moment too early leaves anything behind.
"""

import asyncio
from contextlib import suppress

import structlog

from homing.decide.deliveries.attempts import SOME_FAILURES, PatiencePolicy
from homing.flows.background.alerts import AlertBook
from homing.flows.deliveries.telling import QUICK, SLOW
from homing.model.alerts import About, AlertKind, Subject
from homing.model.notices import CacheCleared, EventsStored, Notice
from homing.ports import Clock, StoreUnavailable
from homing.ports.deliveries.deliveries import Deliveries

log = structlog.get_logger("homing")

LOOK_EVERY_S = 30.0
GATHER_S = 0.05
STORE_PAUSE_S = 1.0
TIDY_EVERY_S = 60.0
PRUNED_AT_ONCE = 2_000


class Waking:
    """Wakes endpoints, until cancelled."""

    def __init__(
        self,
        deliveries: Deliveries,
        alerts: AlertBook,
        clock: Clock,
        patience: PatiencePolicy,
        *,
        backlog_max: int,
        keep_days: float,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._deliveries, self._alerts, self._clock, self._patience = deliveries, alerts, clock, patience
        self._backlog_max, self._keep_s = backlog_max, keep_days * 86_400
        self._look_every_s = look_every_s
        self._news = asyncio.Event()
        self._store_is_away = False

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, EventsStored | CacheCleared):
            self._news.set()

    def look(self) -> None:
        """Look soon: something may be due."""
        self._news.set()

    async def run(self) -> None:
        tidied_s = self._clock.monotonic()
        while True:
            next_s: float | None = None
            try:
                next_s = await self._deliveries.wake(
                    QUICK, SLOW, slow_ms=self._patience.slow_ms, failures=SOME_FAILURES
                )
                if self._clock.monotonic() - tidied_s >= TIDY_EVERY_S:
                    tidied_s = self._clock.monotonic()
                    await self._tidy()
                self._store_is_away = False
            except StoreUnavailable as error:
                if not self._store_is_away:
                    log.warning("Endpoints cannot be woken; tried again until they can", error=str(error))
                self._store_is_away = True
            await self._wait(next_s)

    async def _wait(self, next_s: float | None) -> None:
        """Until there is news, or something is due. News that come together are looked after together."""
        at_most_s = STORE_PAUSE_S if self._store_is_away else self._look_every_s
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s if next_s is None else min(next_s, at_most_s)):
                await self._news.wait()
        self._news.clear()
        await self._clock.sleep(GATHER_S)

    async def _tidy(self) -> None:
        for full in await self._deliveries.bound(most=self._backlog_max):
            reason = f"more than {self._backlog_max} deliveries wait for it; new ones are dead letters at once"
            self._alerts.raised(AlertKind.ENDPOINT_DISABLED, Subject(About.ENDPOINT, full), reason)
        while await self._deliveries.prune(keep_s=self._keep_s, limit=PRUNED_AT_ONCE) >= PRUNED_AT_ONCE:
            await self._clock.sleep(0.1)

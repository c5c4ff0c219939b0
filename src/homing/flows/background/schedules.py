"""Running named schedules: each tick once among all gateways, one run at a time, whoever of them lives."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from homing.decide.work import cron
from homing.model.work import NotDue, Tick
from homing.ports import Clock, Schedules, StoreUnavailable

log = structlog.get_logger("homing")

Handler = Callable[[Tick], Awaitable[str]]
"""Does what a tick is for and answers with the result in one sentence. What it raises is the run's error."""

TRUSTED_PART = 0.8
"""For this part of a lease, counted from before it was asked for, we act on it."""
ASK_AT_MOST_S = 60.0
STORE_PAUSE_S = 1.0
LEAVE_TIMEOUT_S = 2.0
_SOONEST_S = 0.001


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is done at the ticks of a cron expression (UTC; seconds may be a sixth field; empty means off).

    `lease_s` is how soon another gateway takes over from one that died in the middle of a run.
    """

    name: str
    expression: str
    handler: Handler
    lease_s: float = 15.0


class LeaseLost(Exception):
    """The run was stopped, since another gateway may have it by now."""


class Scheduler:
    """Waits for the ticks of its schedules and runs those that it gets. Raises ValueError for what is no expression."""

    def __init__(self, store: Schedules, clock: Clock, schedules: Sequence[Schedule], *, owner: str) -> None:
        self._store, self._clock, self._owner = store, clock, owner
        self._schedules = list(schedules)
        for schedule in self._schedules:
            cron.checked(schedule.expression)

    async def run(self) -> None:
        """Keep all schedules until cancelled."""
        async with asyncio.TaskGroup() as group:
            for schedule in self._schedules:
                group.create_task(self._keep(schedule))

    async def tick(self, schedule: Schedule) -> float:
        """Run the schedule now if it is due and free; answers in how many seconds to ask again."""
        asked_s = self._clock.monotonic()
        answer = await self._store.begin(
            schedule.name, schedule.expression, owner=self._owner, lease_s=schedule.lease_s
        )
        if isinstance(answer, NotDue):
            return ASK_AT_MOST_S if answer.ask_in_s is None else min(max(answer.ask_in_s, _SOONEST_S), ASK_AT_MOST_S)
        if answer.taken_over:
            log.warning("A scheduled run is taken over", schedule=schedule.name, tick=answer.at, reason=answer.reason)
        await self._run(schedule, answer, asked_s)
        return 0.0

    async def _keep(self, schedule: Schedule) -> None:
        while True:
            try:
                ask_in_s = await self.tick(schedule)
            except StoreUnavailable as error:
                log.warning("A schedule could not be read", schedule=schedule.name, error=str(error))
                ask_in_s = STORE_PAUSE_S
            await self._clock.sleep(ask_in_s)

    async def _run(self, schedule: Schedule, tick: Tick, asked_s: float) -> None:
        try:
            result = await self._while_held(schedule, tick, asked_s)
        except LeaseLost as lost:
            log.warning("A scheduled run was stopped in the middle", schedule=schedule.name, reason=str(lost))
        except asyncio.CancelledError:
            await self._hand_over(tick)
            raise
        except Exception as error:
            log.exception("A scheduled run failed", schedule=schedule.name, tick=tick.at)
            await self._finish(tick, error=str(error) or type(error).__name__)
        else:
            await self._finish(tick, result=result)

    async def _while_held(self, schedule: Schedule, tick: Tick, asked_s: float) -> str:
        """Run the handler as long as the lease is ours beyond doubt."""
        running = asyncio.ensure_future(schedule.handler(tick))
        trusted_until_s = asked_s + TRUSTED_PART * schedule.lease_s
        try:
            while True:
                left_s = max(trusted_until_s - self._clock.monotonic(), 0.0)
                await asyncio.wait({running}, timeout=min(schedule.lease_s / 4, left_s))
                if running.done():
                    return running.result()
                trusted_until_s = await self._renewed(schedule, tick, trusted_until_s)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _renewed(self, schedule: Schedule, tick: Tick, trusted_until_s: float) -> float:
        """Until when the lease can be trusted now. Raises LeaseLost."""
        asked_s = self._clock.monotonic()
        try:
            async with asyncio.timeout(min(schedule.lease_s / 4, max(trusted_until_s - asked_s, 0.0))):
                is_ours = await self._store.renew(tick, lease_s=schedule.lease_s)
        except (StoreUnavailable, TimeoutError) as error:
            if self._clock.monotonic() >= trusted_until_s:
                raise LeaseLost("its lease could not be renewed in time") from error
            return trusted_until_s
        if not is_ours:
            raise LeaseLost("another gateway has taken it over")
        return asked_s + TRUSTED_PART * schedule.lease_s

    async def _finish(self, tick: Tick, *, result: str = "", error: str = "") -> None:
        """Say how the run ended, however long the store is away: what is not said would be done again."""
        while True:
            try:
                if not await self._store.finish(tick, result=result, error=error):
                    log.warning("A scheduled run was taken over before it ended", schedule=tick.name, tick=tick.at)
                return
            except StoreUnavailable as away:
                log.warning("The end of a scheduled run could not be stored", schedule=tick.name, error=str(away))
                await self._clock.sleep(STORE_PAUSE_S)

    async def _hand_over(self, tick: Tick) -> None:
        """We are leaving: let the next gateway begin the run anew, at once."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._store.renew(tick, lease_s=0.0)

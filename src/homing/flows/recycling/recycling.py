"""Starting instances anew through whoever supervises them: emptied, told over a signed webhook, waited for, filled.

What is wanted stands in the database, so that a gateway goes on where another one was killed. Each step is noted with
the state that it began from: of two gateways one takes it. The webhook is told again until it is taken, under one id.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog

from homing.decide.deliveries import signing
from homing.decide.fleet import recycling
from homing.decide.fleet.recycling import Empty, Fill, GiveUp, KeepWaiting, SeenInstance, Tell
from homing.flows.background.alerts import AlertBook
from homing.flows.operations.drain import Drains
from homing.model.alerts import AlertKind, Subject
from homing.model.deliveries.egress import CallAnswer
from homing.model.errors import Code, Problem
from homing.model.fleet import Instance, InstanceUrl
from homing.model.instances.recycling import Recycle, RecycleState
from homing.model.sends.faults import Fault
from homing.model.work import Tick
from homing.ports import Clock, Fleet
from homing.ports.deliveries.egress import Egress
from homing.ports.instances.recycles import Recycles

log = structlog.get_logger("homing")

EVENT = "instance.recycle"
HEALTH_TIMEOUT_S = 2.0
TELL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Who starts processes anew: where it is told, and the secret by which it knows that it is us."""

    url: str
    secret: bytes


class Recycling:
    """Brings instances through it, one after the other."""

    def __init__(
        self,
        store: Recycles,
        drains: Drains,
        fleet: Fleet,
        egress: Egress,
        alerts: AlertBook,
        clock: Clock,
        supervisor: Supervisor | None,
        *,
        after_h: float = 0.0,
    ) -> None:
        """`supervisor` is None where nobody is named who could start a process anew; `after_h`: by its schedule, what
        runs for longer is asked for."""
        self._store, self._drains, self._fleet, self._egress = store, drains, fleet, egress
        self._alerts, self._clock, self._supervisor, self._after_h = alerts, clock, supervisor, after_h

    def can_by_itself(self, url: InstanceUrl) -> bool:
        """Whether the instance may be started anew without a person asking for it."""
        instance = self._fleet.roster.instances.get(url)
        return self._supervisor is not None and instance is not None and recycling.may_by_itself(instance.labels)

    async def ask(self, url: InstanceUrl, reason: str, *, with_gap: bool | None = None) -> Recycle:
        """Enter the wish; None: a gap is allowed where the instance's label says so. Raises Problem."""
        instance = self._known(url)
        if self._supervisor is None:
            detail = (
                "Set HOMING_SUPERVISOR_URL and HOMING_SUPERVISOR_SECRET: nobody is named who could start it anew. By"
                f" hand: homing recycle {url}"
            )
            raise Problem(Code.NOT_SUPPORTED, detail)
        gap = recycling.with_gap(instance.labels) if with_gap is None else with_gap
        return await self._store.ask(url, reason, with_gap=gap, at=self._clock.now())

    async def for_deaf(self, url: InstanceUrl, reason: str) -> str:
        """The rung of the ladder; what it came to in a few words. Raises Problem."""
        asked = await self.ask(url, reason)
        return f"its instance is to be started anew (recycle {asked.id})"

    async def newest(self, limit: int) -> Sequence[Recycle]:
        """What was asked for, the newest first. Raises StoreUnavailable."""
        return await self._store.newest(limit=limit)

    async def scheduled(self, _: Tick) -> str:
        """Ask for those that run for too long. Raises StoreUnavailable."""
        if self._after_h <= 0 or self._supervisor is None:
            return "no instance is started anew for its age"
        urls = [url for url in self._fleet.roster.instances if self.can_by_itself(url)]
        uptimes = {url: (await self._seen_health(url)).uptime_s for url in urls}
        old = recycling.too_old(uptimes, after_h=self._after_h)
        for url in old:
            await self.ask(url, f"its process runs for more than {self._after_h:g} h")
        return f"{len(old)} of {len(urls)} instances run for too long"

    async def tick(self, _: Tick) -> str:
        """Take every open one a step further. Raises StoreUnavailable."""
        opened = await self._store.open()
        under_way = [each for each in opened if each.state is not RecycleState.ASKED]
        first = under_way[0] if under_way else next(iter(opened), None)
        for each in opened:
            await self._step(each, is_first=first is not None and each.id == first.id)
        return f"{len(opened)} instances are to be started anew"

    # --- one step -----------------------------------------------------------------------------------------------

    async def _step(self, now_is: Recycle, *, is_first: bool) -> None:
        try:
            seen = await self._seen(now_is)
            step = recycling.next_step(now_is, seen, self._clock.now(), is_first=is_first)
            await self._do(now_is, step)
        except Problem as problem:
            why = problem.detail
            await self._store.keep(now_is, recycling.failed(now_is, why, self._clock.now()))
            self._failed(now_is, why)

    async def _do(self, now_is: Recycle, step: recycling.RecycleStep) -> None:
        url = now_is.instance_url
        match step:
            case KeepWaiting(after=after):
                if after != now_is:
                    await self._store.keep(now_is, after)
            case Empty(after=after):
                await self._drains.drain(url)
                await self._store.keep(now_is, after)
                log.info("Instance is emptied to be started anew", url=url, reason=now_is.reason)
            case Tell(after=after):
                error = await self._told(now_is, after)
                if error is None:
                    await self._store.keep(now_is, after)
                    self._alerts.resolved(AlertKind.RECYCLE_FAILED, Subject.instance(url))
                else:
                    self._failed(now_is, f"its supervisor cannot be told, which is tried again: {error}")
            case Fill(after=after):
                await self._drains.undrain(url)
                await self._store.keep(now_is, after)
                self._alerts.resolved(AlertKind.RECYCLE_FAILED, Subject.instance(url))
                log.info("Instance was started anew", url=url, stayed=now_is.stayed)
            case GiveUp(after=after, fill=fill):
                if fill:
                    await self._drains.undrain(url)
                await self._store.keep(now_is, after)
                self._failed(now_is, after.result)
            case _:
                assert_never(step)

    def _failed(self, now_is: Recycle, why: str) -> None:
        self._alerts.raised(AlertKind.RECYCLE_FAILED, Subject.instance(now_is.instance_url), why)

    async def _told(self, now_is: Recycle, after: Recycle) -> str | None:
        """Tell its supervisor; why it did not take it, or None."""
        assert self._supervisor is not None
        now = self._clock.now()
        data = {
            "recycle_id": now_is.id,
            "instance_url": now_is.instance_url,
            "instance_id": self._known(now_is.instance_url).id,
            "incarnation": now_is.incarnation,
            "reason": now_is.reason,
            "sessions_left": after.stayed,
        }
        body = json.dumps({"type": EVENT, "timestamp": now.isoformat(), "data": data}).encode()
        signed = signing.headers([self._supervisor.secret], f"recycle_{now_is.id}", now, body)
        sent = {"content-type": "application/json", **signed}
        answer = await self._egress.post(self._supervisor.url, body, sent, timeout_s=TELL_TIMEOUT_S)
        if not isinstance(answer, CallAnswer):
            return answer.reason
        return None if 200 <= answer.status < 300 else f"it answered {answer.status}"

    async def _seen(self, now_is: Recycle) -> SeenInstance:
        instance, health = self._known(now_is.instance_url), await self._seen_health(now_is.instance_url)
        if now_is.state is not RecycleState.EMPTYING:
            return health
        progress = await self._drains.progress(instance)
        remaining, stuck = progress.remaining, progress.stuck
        return SeenInstance(health.healthy, health.incarnation, health.uptime_s, remaining, stuck)

    async def _seen_health(self, url: InstanceUrl) -> SeenInstance:
        health = await self._fleet.driver(url).health(url, timeout_s=HEALTH_TIMEOUT_S)
        if isinstance(health, Fault):
            return SeenInstance(healthy=False)
        return SeenInstance(True, health.incarnation, health.uptime_s)

    def _known(self, url: InstanceUrl) -> Instance:
        instance = self._fleet.roster.instances.get(url)
        if instance is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        return instance

"""Keeping an eye on the instances: their leases, their answers, and what sends meet on the way.

Leases are read twice a second, and more often while somebody is in doubt; every instance is asked how it is once a
second. What a send meets counts at once. Our own slowness is watched too, so that it is not blamed on others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from homing.decide.fleet import health, placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.health import HealthPolicy
from homing.flows.background.alerts import AlertBook, Unkept
from homing.model.alerts import FLEET, AlertKind
from homing.model.fleet import InstanceUrl
from homing.model.instances.health import (
    Beat,
    CallObservation,
    HealthHistory,
    HealthJudgment,
    HealthState,
    Local,
    Signal,
    Stall,
)
from homing.model.instances.leases import Incarnation, StoreIdentity
from homing.model.sends.faults import Fault, Phase
from homing.ports import Clock, Entropy, Fleet, InstanceHealth, Leases, StoreUnavailable

log = structlog.get_logger("homing")

_PULSE_S = 0.2
_SAMPLES = 60
_FORECAST_HALF_LIFE_S = 30.0
_SPOKE = frozenset({Phase.REPLY_MALFORMED, Phase.SERVER_ERROR, Phase.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """Times in seconds."""

    health: HealthPolicy = field(default_factory=HealthPolicy)
    read_leases_every_s: float = 0.5
    probe_every_s: float = 1.0
    probe_timeout_s: float = 1.0


@dataclass(slots=True)
class WatchedInstance:
    """What this gateway knows of one instance. `answered_s` is when it last answered, `refused_s` when it refused."""

    history: HealthHistory
    judged: HealthJudgment
    health: InstanceHealth | None = None
    ahead_s: float | None = None
    answered_s: float = float("-inf")
    refused_s: float | None = None
    was_well: bool = False
    sends: list[tuple[float, float]] = field(default_factory=list)
    again: "asyncio.Task[None] | None" = None


class Watching:
    """What this gateway knows of the instances' health. It implements `flows.underway.Watch`."""

    def __init__(
        self,
        leases: Leases,
        fleet: Fleet,
        clock: Clock,
        entropy: Entropy,
        policy: WatchPolicy,
        misconfigured: Callable[[], Mapping[InstanceUrl, str]] = dict,
        alerts: AlertBook | None = None,
        lagged: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`misconfigured` tells which instances answer and do not work as they are set up, and why.

        `lagged` hears how many seconds late our own loop came to what was due, several times a second.
        """
        self._lagged = lagged
        self._misconfigured, self._alerts = misconfigured, alerts or AlertBook(Unkept(), clock)
        self._leases, self._fleet, self._clock, self._entropy = leases, fleet, clock, entropy
        self._policy = policy
        self._kept: dict[InstanceUrl, WatchedInstance] = {}
        self._boots: dict[InstanceUrl, Beat] = {}
        self._store: StoreIdentity | None = None
        self._steady_from_s: float | None = None
        self._asked_store_s: float | None = None
        self._store_lag_s = 0.0
        self._stalls: tuple[Stall, ...] = ()
        self._probing: dict[InstanceUrl, asyncio.Task[None]] = {}
        self._reading: asyncio.Future[bool] | None = None
        self.worth_a_look = asyncio.Event()
        """Set whenever an instance is judged to be gone, or otherwise than before: one more may be one too many."""

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as services:
                for service in (self._read_on, self._probe_on, self._feel_on):
                    services.create_task(service())
        finally:
            under_way = [*(kept.again for kept in self._kept.values()), *self._probing.values()]
            for task in under_way:
                if task is not None:
                    task.cancel()
            self._probing.clear()

    # --- what is known ------------------------------------------------------------------------------------------

    def judged(self) -> Mapping[InstanceUrl, HealthJudgment]:
        """Every instance of the roster, as it is judged now."""
        now_s, local = self._clock.monotonic(), self._local()
        return {url: self._judge(url, now_s, local) for url in self._fleet.roster.instances}

    def ahead_s(self, url: InstanceUrl) -> float | None:
        """By how much the instance's clock was ahead of this gateway's when it last answered, if it tells."""
        kept = self._kept.get(url)
        return kept.ahead_s if kept is not None else None

    def health_of(self, url: InstanceUrl) -> InstanceHealth | None:
        """What the instance last said of itself."""
        kept = self._kept.get(url)
        return kept.health if kept is not None else None

    def store_lag_s(self) -> float:
        """What the database took for its newest answer, or for how long we have been waiting for one."""
        return self._local().store_lag_s

    def was_well(self, url: InstanceUrl) -> bool:
        """Whether this gateway has known the instance to be healthy by its own answers, at any time."""
        kept = self._kept.get(url)
        return kept is not None and kept.was_well

    def boot_of(self, url: InstanceUrl) -> Incarnation | None:
        """The newest boot at the address, its ages as they were when it was last read."""
        beat = self._boots.get(url)
        return beat.incarnation if beat is not None else None

    def down(self) -> frozenset[InstanceUrl]:
        """The instances that cannot be reached: of no session there it is known how it is."""
        return frozenset(url for url, kept in self._kept.items() if kept.judged.state is HealthState.DOWN)

    def unfit(self) -> dict[InstanceUrl, str]:
        """What is wrong with the instances that nothing should be placed on: in doubt, or not acting at the moment."""
        wrong = {
            url: f"is {kept.judged.state.value}: {kept.judged.reason}"
            for url, kept in self._kept.items()
            if kept.judged.state is not HealthState.HEALTHY
        }
        paused = {url for url, kept in self._kept.items() if kept.health is not None and kept.health.paused}
        misfits = {url: f"is misconfigured: {reason}" for url, reason in self._misconfigured().items()}
        return dict.fromkeys(paused, "has paused itself: it could not renew its lease") | misfits | wrong

    def may_grant(self) -> str | None:
        """Why nothing may be granted at the moment; None if it may.

        After the store was away, live holders renew first; the same after it lost a part of its history.
        """
        return health.unsettled(self._local(), self._policy.health)

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        return [self._with_figures(load) for load in loads]

    def saw(self, url: InstanceUrl, phase: Phase | None) -> None:
        """A call to the instance met this; None if it was answered."""
        self._note(url, phase, by_traffic=True)

    def refused_ago_s(self, url: InstanceUrl) -> float | None:
        """How long ago the instance last refused a connection; None if it never did."""
        kept = self._kept.get(url)
        return None if kept is None or kept.refused_s is None else self._clock.monotonic() - kept.refused_s

    async def look_at_all(self, *, fresher_than_s: float, timeout_s: float) -> None:
        """Know the leases as they are, and ask every instance that was not heard of so lately."""
        now_s = self._clock.monotonic()
        stale = [url for url in self._fleet.roster.instances if now_s - self._known(url).answered_s > fresher_than_s]
        await asyncio.gather(self._read_leases(), *(self._probe(url, timeout_s) for url in stale))

    # --- leases -------------------------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        while True:
            await self._read_leases()
            await self._clock.sleep(self._policy.read_leases_every_s)

    async def _read_leases(self) -> None:
        """One reading at a time: where many are in doubt at once, all who want to know share it."""
        while self._reading is not None:
            if await asyncio.shield(self._reading):
                return
        reading = self._reading = asyncio.get_running_loop().create_future()
        try:
            await self._read_leases_now()
            reading.set_result(True)
        finally:
            self._reading = None
            if not reading.done():
                reading.set_result(False)  # cut short: one of those who wait does it

    async def _read_leases_now(self) -> None:
        asked_s = self._asked_store_s = self._clock.monotonic()
        try:
            heard = await self._leases.heartbeats()
        except StoreUnavailable as error:
            self._store_is_away(error)
            return
        finally:
            self._asked_store_s = None
        self._store_lag_s = self._clock.monotonic() - asked_s
        self._store_is_there(heard.store, asked_s)
        self._boots = {boot.instance_url: Beat(boot, asked_s) for boot in heard.boots}
        local = self._local()
        for url in self._fleet.roster.instances:
            self._rejudge(url, local)

    def _store_is_there(self, identity: StoreIdentity, asked_s: float) -> None:
        changed = self._store is not None and identity != self._store
        if changed:
            self._alerts.raised(AlertKind.COMMITS_LOST, FLEET, f"it was {self._store}, and is {identity}")
        if self._steady_from_s is None or changed:
            self._steady_from_s = asked_s
        self._alerts.resolved(AlertKind.LEASES_UNREADABLE, FLEET)
        if self.may_grant() is None:
            self._alerts.resolved(AlertKind.COMMITS_LOST, FLEET)
        self._store = identity

    def _store_is_away(self, error: StoreUnavailable) -> None:
        if self._steady_from_s is not None:
            self._alerts.raised(AlertKind.LEASES_UNREADABLE, FLEET, str(error))
        self._steady_from_s = None

    def _local(self) -> Local:
        now_s = self._clock.monotonic()
        waiting_s = now_s - self._asked_store_s if self._asked_store_s is not None else 0.0
        steady_s = now_s - self._steady_from_s if self._steady_from_s is not None else 0.0
        return Local(self._stalls, max(self._store_lag_s, waiting_s), steady_s)

    # --- asking -------------------------------------------------------------------------------------------------

    async def _probe_on(self) -> None:
        """One task for each instance of the roster."""
        while True:
            wanted = set(self._fleet.roster.instances)
            for url in self._probing.keys() - wanted:
                self._probing.pop(url).cancel()
                self._kept.pop(url, None)
            for url in sorted(wanted - self._probing.keys()):
                self._probing[url] = asyncio.get_running_loop().create_task(self._probe_one(url))
            await self._clock.sleep(self._policy.probe_every_s)

    async def _probe_one(self, url: InstanceUrl) -> None:
        while True:
            await self._clock.sleep(self._policy.probe_every_s * (0.75 + 0.5 * self._entropy.random()))
            await self._probe(url, self._policy.probe_timeout_s)

    def _ahead_s(self, answer: InstanceHealth) -> float | None:
        """Its clock is told in whole seconds, of which half a second is over on average."""
        if answer.says_at is None:
            return None
        return (answer.says_at - self._clock.now()).total_seconds() + 0.5

    async def _probe(self, url: InstanceUrl, timeout_s: float) -> None:
        kept = self._known(url)
        answer = await self._fleet.driver(url).health(url, timeout_s=timeout_s)
        if isinstance(answer, InstanceHealth):
            kept.health = answer
            kept.ahead_s = self._ahead_s(answer)
            self._note_rate(kept, answer)
        self._note(url, answer.phase if isinstance(answer, Fault) else None, by_traffic=False)

    def _note_rate(self, kept: WatchedInstance, answer: InstanceHealth) -> None:
        if answer.sends_per_s is not None:
            kept.sends.append((self._clock.monotonic(), answer.sends_per_s))
            del kept.sends[:-_SAMPLES]

    # --- judging ------------------------------------------------------------------------------------------------

    def _note(self, url: InstanceUrl, phase: Phase | None, *, by_traffic: bool) -> None:
        signal = health.signal_of(phase)
        if phase in _SPOKE and url in self._misconfigured():
            signal = Signal.ANSWERED  # what it says is wrong is known; that it says anything proves that it is up
        if signal is None or url not in self._fleet.roster.instances:
            return
        kept, now_s = self._known(url), self._clock.monotonic()
        if signal is Signal.ANSWERED:
            kept.answered_s = now_s
        elif signal is Signal.REFUSED:
            kept.refused_s = now_s
        kept.history = health.note(kept.history, CallObservation(now_s, signal, by_traffic))
        if signal is not Signal.ANSWERED or kept.judged.state is not HealthState.HEALTHY:
            self._rejudge(url, self._local())
        kept.was_well |= signal is Signal.ANSWERED and kept.judged.state is HealthState.HEALTHY

    def _rejudge(self, url: InstanceUrl, local: Local) -> None:
        kept = self._known(url)
        before, kept.judged = kept.judged, self._judge(url, self._clock.monotonic(), local)
        kept.history = health.remember(kept.history, kept.judged)
        if kept.judged.state is not before.state:
            log.warning("Instance judged", url=url, state=kept.judged.state.value, reason=kept.judged.reason)
            self.worth_a_look.set()
        if kept.judged.gone is not None:
            self.worth_a_look.set()
        elif kept.judged.look_again_s is not None and (kept.again is None or kept.again.done()):
            again = self._look_again(url, kept.judged.look_again_s)
            kept.again = asyncio.get_running_loop().create_task(again)

    async def _look_again(self, url: InstanceUrl, after_s: float) -> None:
        """Settle the doubt as soon as it can be."""
        await self._clock.sleep(after_s)
        kept = self._known(url)
        kept.again = None
        await asyncio.gather(self._probe(url, self._policy.probe_timeout_s), self._read_leases())

    def _judge(self, url: InstanceUrl, now_s: float, local: Local) -> HealthJudgment:
        return health.judge(self._known(url).history, self._boots.get(url), local, now_s, self._policy.health)

    def _known(self, url: InstanceUrl) -> WatchedInstance:
        kept = self._kept.get(url)
        if kept is None:
            now_s = self._clock.monotonic()
            judged = HealthJudgment(HealthState.HEALTHY, now_s, "nothing was heard of it yet")
            kept = self._kept[url] = WatchedInstance(HealthHistory(since_s=now_s), judged)
        return kept

    def _with_figures(self, load: Load) -> Load:
        kept = self._kept.get(load.instance.url)
        if kept is None or kept.health is None:
            return load
        now_s = self._clock.monotonic()
        return replace(
            load,
            memory_mb=kept.health.memory_used_mb,
            sends_per_s=kept.health.sends_per_s or 0.0,
            forecast_sends_per_s=placement.forecast(kept.sends, now_s, _FORECAST_HALF_LIFE_S),
        )

    # --- ourselves ----------------------------------------------------------------------------------------------

    async def _feel_on(self) -> None:
        """When our own loop stood: what happens in that time is not the instances' doing."""
        while True:
            last_s = self._clock.monotonic()
            await self._clock.sleep(_PULSE_S)
            now_s = self._clock.monotonic()
            self._lagged(max(0.0, now_s - last_s - _PULSE_S))
            self._stalls = health.ticked(self._stalls, last_s, now_s, _PULSE_S, self._policy.health)

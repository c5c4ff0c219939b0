"""Keeping an eye on the instances: their leases, their answers, and what sends meet on the way.

Leases are read twice a second, and more often while somebody is in doubt; every instance is asked how it is once a
second. What a send meets counts at once. Our own slowness is watched too, so that it is not blamed on others.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from homing.decide import health, placement
from homing.decide.health import Beat, HealthPolicy, History, Judged, Local, Observed, State
from homing.decide.leases import LeasePolicy
from homing.decide.placement import Load
from homing.model.faults import Fault, Phase
from homing.model.fleet import InstanceUrl
from homing.model.leases import Incarnation, StoreIdentity
from homing.ports import Clock, Entropy, Fleet, InstanceHealth, Leases, StoreUnavailable

log = structlog.get_logger("homing")

_PULSE_S = 0.1
_SAMPLES = 60
_SUSPICIOUS_READ_S = 0.1


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """Times in seconds."""

    lease: LeasePolicy = field(default_factory=LeasePolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    read_leases_every_s: float = 0.5
    probe_every_s: float = 1.0
    probe_timeout_s: float = 1.0
    confirm_after_s: float = 0.21
    """How soon an instance that refused a connection is asked again."""


@dataclass(slots=True)
class Kept:
    """What this gateway knows of one instance. `answered_s` is when it last answered."""

    history: History
    judged: Judged
    health: InstanceHealth | None = None
    answered_s: float = float("-inf")
    asked_s: float = float("-inf")
    sends: list[tuple[float, float]] = field(default_factory=list)


class Watching:
    """What this gateway knows of the instances' health. It implements `flows.rehome.Watch`."""

    def __init__(self, leases: Leases, fleet: Fleet, clock: Clock, entropy: Entropy, policy: WatchPolicy) -> None:
        self._leases, self._fleet, self._clock, self._entropy = leases, fleet, clock, entropy
        self._policy = policy
        self._kept: dict[InstanceUrl, Kept] = {}
        self._boots: dict[InstanceUrl, Incarnation] = {}
        self._boots_read_s = float("-inf")
        self._store: StoreIdentity | None = None
        self._store_away = True
        self._store_lag_s = self._loop_lag_s = 0.0
        self._grants_from_s = float("inf")
        self._probing: dict[InstanceUrl, asyncio.Task[None]] = {}
        self._confirming: set[asyncio.Task[None]] = set()
        self.something_is_wrong = asyncio.Event()
        """Set whenever an instance is judged to be down."""

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as services:
                for service in (self._read_on, self._probe_on, self._feel_on):
                    services.create_task(service())
        finally:
            for task in [*self._probing.values(), *self._confirming]:
                task.cancel()
            self._probing.clear()

    # --- what is known ------------------------------------------------------------------------------------------

    def judged(self) -> Mapping[InstanceUrl, Judged]:
        """Every instance of the roster, as it is judged now."""
        return {url: self._judge(url) for url in self._fleet.roster.instances}

    def health_of(self, url: InstanceUrl) -> InstanceHealth | None:
        """What the instance last said of itself."""
        kept = self._kept.get(url)
        return kept.health if kept is not None else None

    def boot_of(self, url: InstanceUrl) -> Incarnation | None:
        """The newest boot at the address, its ages as they are now."""
        boot = self._boots.get(url)
        if boot is None:
            return None
        passed_s = self._clock.monotonic() - self._boots_read_s
        return replace(
            boot,
            renewed_ago_s=boot.renewed_ago_s + passed_s,
            lease_left_s=boot.lease_left_s - passed_s,
            began_ago_s=boot.began_ago_s + passed_s,
        )

    def down(self) -> frozenset[InstanceUrl]:
        return frozenset(url for url, kept in self._kept.items() if kept.judged.state is State.DOWN)

    def unfit(self) -> frozenset[InstanceUrl]:
        """The instances that nothing should be placed on: in doubt, or not acting at the moment."""
        return frozenset(
            url
            for url, kept in self._kept.items()
            if kept.judged.state is not State.HEALTHY or (kept.health is not None and kept.health.paused)
        )

    def may_grant(self) -> str | None:
        """Why nothing may be granted at the moment; None if it may.

        After the store was away, live holders renew first; the same after it lost a part of its history.
        """
        left_s = self._grants_from_s - self._clock.monotonic()
        if self._store_away or left_s == float("inf"):
            return "the store does not answer"
        return f"live holders renew first, for another {left_s:.1f} s" if left_s > 0 else None

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        return [self._with_figures(load) for load in loads]

    def saw(self, url: InstanceUrl, phase: Phase | None) -> None:
        """A call to the instance met this; None if it was answered."""
        self._note(url, phase, by_traffic=True)

    async def look_at_all(self, *, fresher_than_s: float, timeout_s: float) -> None:
        """Read the leases now, and ask every instance that was not heard of so lately. Raises StoreUnavailable."""
        now_s = self._clock.monotonic()
        stale = [url for url in self._fleet.roster.instances if now_s - self._known(url).answered_s > fresher_than_s]
        await asyncio.gather(self._read_leases(), *(self._probe(url, timeout_s) for url in stale))

    # --- leases -------------------------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        while True:
            try:
                await self._read_leases()
            except StoreUnavailable as error:
                self._store_is_away(error)
            await self._clock.sleep(self._read_again_after_s())

    def _read_again_after_s(self) -> float:
        """Soon, while an instance refuses: the next thing to happen is that its heartbeat is overdue."""
        doubtful = any(kept.judged.state is State.SUSPECT for kept in self._kept.values())
        return _SUSPICIOUS_READ_S if doubtful else self._policy.read_leases_every_s

    async def _read_leases(self) -> None:
        asked_s = self._clock.monotonic()
        boots = await self._leases.incarnations()
        identity = await self._leases.identity() if self._store_away or self._store is None else self._store
        now_s = self._clock.monotonic()
        self._store_lag_s = now_s - asked_s
        self._boots = {boot.instance_url: boot for boot in boots}
        self._boots_read_s = asked_s
        self._store_is_there(identity, now_s)
        for url in self._fleet.roster.instances:
            self._rejudge(url)

    def _store_is_there(self, identity: StoreIdentity, now_s: float) -> None:
        if self._store_away or identity != self._store:
            if self._store is not None and identity != self._store:
                log.error("The store lost a part of its history", alert=True, was=str(self._store), now=str(identity))
            self._grants_from_s = now_s + self._policy.lease.expiry_s
        self._store_away, self._store = False, identity

    def _store_is_away(self, error: StoreUnavailable) -> None:
        if not self._store_away:
            log.error("Leases cannot be read; nothing is granted", alert=True, error=str(error))
        self._store_away = True

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
            await self._clock.sleep(self._policy.probe_every_s * (0.5 + self._entropy.random()))
            await self._probe(url, self._policy.probe_timeout_s)

    async def _probe(self, url: InstanceUrl, timeout_s: float) -> None:
        kept = self._known(url)
        kept.asked_s = self._clock.monotonic()
        answer = await self._fleet.driver(url).health(url, timeout_s=timeout_s)
        if isinstance(answer, InstanceHealth):
            kept.health = answer
            self._note_rate(kept, answer)
        self._note(url, answer.phase if isinstance(answer, Fault) else None, by_traffic=False)

    def _note_rate(self, kept: Kept, answer: InstanceHealth) -> None:
        if answer.sends_per_s is not None:
            kept.sends.append((self._clock.monotonic(), answer.sends_per_s))
            del kept.sends[:-_SAMPLES]

    def _confirm(self, url: InstanceUrl) -> None:
        """Ask once more, soon: two refusals say more than one."""
        task = asyncio.get_running_loop().create_task(self._probe_after(url, self._policy.confirm_after_s))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)

    async def _probe_after(self, url: InstanceUrl, after_s: float) -> None:
        await self._clock.sleep(after_s)
        await self._probe(url, self._policy.probe_timeout_s)

    # --- judging ------------------------------------------------------------------------------------------------

    def _note(self, url: InstanceUrl, phase: Phase | None, *, by_traffic: bool) -> None:
        signal = health.signal_of(phase)
        if signal is None or url not in self._fleet.roster.instances:
            return
        kept, now_s = self._known(url), self._clock.monotonic()
        if signal is health.Signal.ANSWERED:
            kept.answered_s = now_s
        elif kept.judged.state is State.HEALTHY and signal is health.Signal.REFUSED:
            self._confirm(url)
        kept.history = health.note(kept.history, Observed(now_s, signal, by_traffic))
        self._rejudge(url)

    def _rejudge(self, url: InstanceUrl) -> None:
        kept = self._known(url)
        before = kept.judged
        kept.judged = self._judge(url)
        kept.history = replace(kept.history, state=kept.judged.state, since_s=kept.judged.since_s)
        if kept.judged.state is not before.state:
            log.warning("Instance judged", url=url, state=kept.judged.state.value, reason=kept.judged.reason)
        if kept.judged.gone is not None:
            self.something_is_wrong.set()

    def _judge(self, url: InstanceUrl) -> Judged:
        local = Local(self._loop_lag_s, self._store_lag_s)
        now_s = self._clock.monotonic()
        return health.judge(self._known(url).history, self._beat(url), local, now_s, self._policy.health)

    def _beat(self, url: InstanceUrl) -> Beat | None:
        boot = self.boot_of(url)
        if boot is None:
            return None
        return Beat(boot.renewed_ago_s, boot.lease_left_s, boot.ended is not None, boot.id)

    def _known(self, url: InstanceUrl) -> Kept:
        kept = self._kept.get(url)
        if kept is None:
            now_s = self._clock.monotonic()
            fresh = History((), State.HEALTHY, now_s)
            kept = self._kept[url] = Kept(fresh, Judged(State.HEALTHY, now_s, "nothing was heard of it yet", None))
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
            forecast_sends_per_s=placement.forecast(kept.sends, now_s),
        )

    # --- ourselves ----------------------------------------------------------------------------------------------

    async def _feel_on(self) -> None:
        """How late our own loop is: what happens in that time is not the instances' doing."""
        while True:
            asked_s = self._clock.monotonic()
            await self._clock.sleep(_PULSE_S)
            late_s = max(0.0, self._clock.monotonic() - asked_s - _PULSE_S)
            self._loop_lag_s = max(late_s, self._loop_lag_s * 0.8)

"""A gateway that watches one instance, in a time that is only counted: what each of them does and when, by chance."""

from dataclasses import dataclass, field, replace
from random import Random

from homing.decide.fleet import health
from homing.decide.fleet.health import HealthPolicy
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
from homing.model.instances.leases import Ended, Incarnation, IncarnationId

URL = InstanceUrl("http://a:1")
POLICY = HealthPolicy()
STEADY = Local()
STEP_S = 0.05
_NEVER = Stall(-1.0, -1.0)


def beat(
    renewed_ago_s: float = 0.3,
    *,
    read_at_s: float,
    began_ago_s: float = 1e6,
    ended: Ended | None = None,
) -> Beat:
    """A reading of a heartbeat, its lease as long as the policy says."""
    lease_left_s = POLICY.lease.expiry_s - renewed_ago_s
    boot = Incarnation(IncarnationId("boot"), URL, renewed_ago_s, lease_left_s, began_ago_s, ended)
    return Beat(boot, read_at_s)


def history(
    *met: tuple[float, Signal], by_traffic: bool = False, state: HealthState = HealthState.HEALTHY
) -> HealthHistory:
    """What was met, noted one after the other."""
    found = HealthHistory(state=state, unwell_since_s=None if state is HealthState.HEALTHY else 0.0)
    for at_s, signal in met:
        found = health.note(found, CallObservation(at_s, signal, by_traffic))
    return found


@dataclass(slots=True)
class Trouble:
    """What goes wrong: how often the one or the other stands still and for how long, and how many renewals are lost."""

    our_stall_every_s: float = 20.0
    its_stall_every_s: float = 20.0
    stall_s: float = 2.0
    lost: float = 0.2


@dataclass(slots=True)
class Simulated:
    """The instance renews its lease, the gateway reads it and probes; both stand still at times."""

    random: Random
    trouble: Trouble
    dies_at_s: float = float("inf")
    now_s: float = 0.0
    history: HealthHistory = field(default_factory=HealthHistory)
    judged: list[HealthJudgment] = field(default_factory=list)
    _renewed_s: float = 0.0
    _next_renewal_s: float = 1.0
    _its_stall: Stall = _NEVER
    _our_stall: Stall = _NEVER
    _stalls: tuple[Stall, ...] = ()
    _ticked_s: float = 0.0
    _next_probe_s: float = 0.5
    _asked_s: float | None = None
    _beat: Beat | None = None
    _next_read_s: float = 0.0

    def run(self, until_s: float) -> None:
        while self.now_s < until_s:
            self.now_s += STEP_S
            self._instance()
            self._gateway()

    @property
    def dead(self) -> bool:
        return self.now_s >= self.dies_at_s

    # --- the instance ---

    def _instance(self) -> None:
        self._its_stall = self._stalled(self._its_stall, self.trouble.its_stall_every_s)
        if self.dead or self.now_s <= self._its_stall.until_s or self.now_s < self._next_renewal_s:
            return
        if self.random.random() < self.trouble.lost:
            self._next_renewal_s = self.now_s + POLICY.lease.repeat_s
        else:
            self._renewed_s, self._next_renewal_s = self.now_s, self.now_s + POLICY.lease.heartbeat_s

    def _stalled(self, last: Stall, every_s: float) -> Stall:
        over = self.now_s > last.until_s
        return Stall(self.now_s, self.now_s + self.trouble.stall_s) if over and self._by_chance(every_s) else last

    def _by_chance(self, every_s: float) -> bool:
        return self.random.random() < STEP_S / every_s

    # --- the gateway: whatever it does, it does late when its loop stood ---

    def _gateway(self) -> None:
        self._our_stall = self._stalled(self._our_stall, self.trouble.our_stall_every_s)
        if self.now_s <= self._our_stall.until_s:
            return
        self._stalls = health.ticked(self._stalls, self._ticked_s, self.now_s, STEP_S, POLICY)
        self._ticked_s = self.now_s
        self._probe()
        if self.now_s >= self._next_read_s:
            boot = Incarnation(IncarnationId("boot"), URL, self._age_s, POLICY.lease.expiry_s - self._age_s, self.now_s)
            self._beat, self._next_read_s = Beat(boot, self.now_s), self.now_s + 0.5
        local = Local(self._stalls, store_steady_s=self.now_s)
        judged = health.judge(self.history, self._beat, local, self.now_s, POLICY)
        self.history = health.remember(self.history, judged)
        self.judged.append(judged)

    @property
    def _age_s(self) -> float:
        return self.now_s - self._renewed_s

    def _probe(self) -> None:
        if self._asked_s is None:
            if self.now_s >= self._next_probe_s:
                self._asked_s = self.now_s
            return
        waited_s = self.now_s - self._asked_s
        if self.dead:
            self._met(Signal.REFUSED)
        elif waited_s >= POLICY.probe_timeout_s:
            # After a stall of ours the time is over, though the answer came long ago.
            self._met(Signal.SILENT)
        elif self.now_s > self._its_stall.until_s:
            self._met(Signal.ANSWERED)

    def _met(self, signal: Signal) -> None:
        self.history = health.note(self.history, CallObservation(self.now_s, signal))
        self._asked_s, self._next_probe_s = None, self.now_s + self.random.uniform(0.5, 1.5)


def calm() -> Trouble:
    return replace(Trouble(), our_stall_every_s=1e9, its_stall_every_s=1e9, lost=0.0)

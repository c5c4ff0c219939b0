"""Looking for conditions that nobody meets on the way: each gateway judges the same facts, so that all say the same.

What is only one gateway's own (its clock, what the database takes to answer it, its keys) is about that gateway, and no
other one resolves it.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from homing.decide.alerts import conditions
from homing.decide.alerts.conditions import AccountGrowth, Condition, Passed, Stands, Streak
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import FLEET, About, AlertKind, Subject
from homing.model.fleet import Instance, InstanceLoad, InstanceMode, InstanceState, InstanceUrl
from homing.model.instances.health import HealthJudgment
from homing.ports import Clock, Directory, InstanceHealth, Schedules, StoreUnavailable
from homing.ports.instances.standing_facts import FactStore, VaultKeys

LOOK_EVERY_S = 1.0
INSTANCES_EVERY_S = 2.0
FACTS_EVERY_S = 60.0
KEYS_EVERY_S = 600.0
LOADS_KEPT_S = 15.0
SYNC = "sync-instance-urls"
_OF_INSTANCES = (AlertKind.INSTANCE_DOWN, AlertKind.VERSION_UNCHECKED, AlertKind.CLOCK_OFF)


class WatchedFleet(Protocol):
    """How instances are judged, and how the database answers."""

    def judged(self) -> Mapping[InstanceUrl, HealthJudgment]: ...

    def health_of(self, url: InstanceUrl) -> InstanceHealth | None: ...

    def ahead_s(self, url: InstanceUrl) -> float | None: ...

    def was_well(self, url: InstanceUrl) -> bool: ...

    def unfit(self) -> Mapping[InstanceUrl, str]: ...

    def store_lag_s(self) -> float:
        """What the database took for its newest answer, or for how long one has been awaited."""
        ...


@dataclass(frozen=True, slots=True)
class ConditionPolicy:
    """`gateway` is what this process is called in alerts; `capacity_h` how early it is said that room runs out."""

    gateway: str
    sync_expression: str
    capacity_h: float = 24.0
    clocks_apart: bool = True
    """The database is on a clock of its own."""


class ConditionWatch:
    """Looks, and raises and resolves by what was found."""

    def __init__(
        self,
        watched: WatchedFleet,
        instances: Callable[[], Mapping[InstanceUrl, Instance]],
        directory: Directory,
        schedules: Schedules,
        facts: FactStore,
        keys: VaultKeys,
        alerts: AlertBook,
        clock: Clock,
        policy: ConditionPolicy,
    ) -> None:
        self._watched, self._instances, self._directory = watched, instances, directory
        self._schedules, self._facts, self._keys = schedules, facts, keys
        self._alerts, self._clock, self._policy = alerts, clock, policy
        self._here = Subject(About.GATEWAY, policy.gateway)
        self._lags_s: deque[float] = deque(maxlen=int(conditions.SLOW_OVER_S / LOOK_EVERY_S))
        self._streak = Streak()
        self._loads: Collection[InstanceLoad] = ()
        self._loads_at_s = float("-inf")
        self._own_ahead_s: float | None = None if policy.clocks_apart else 0.0

    async def run(self) -> None:
        """Look until cancelled. What the store does not tell now it tells later."""
        next_s = dict.fromkeys((self.look_at_instances, self.look_at_facts, self.look_at_keys), float("-inf"))
        began_s = self._clock.monotonic()
        next_s[self.look_at_facts] = began_s + FACTS_EVERY_S  # what was missed while nobody ran is made up for first
        every_s = {
            self.look_at_instances: INSTANCES_EVERY_S,
            self.look_at_facts: FACTS_EVERY_S,
            self.look_at_keys: KEYS_EVERY_S,
        }
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look_at_the_database()
            for look, due_s in next_s.items():
                if self._clock.monotonic() >= due_s:
                    next_s[look] = self._clock.monotonic() + every_s[look]
                    with suppress(StoreUnavailable):
                        await look()

    # --- this gateway ---------------------------------------------------------------------------------------------

    def look_at_the_database(self) -> None:
        """One sample of how long it takes to answer."""
        self._lags_s.append(self._watched.store_lag_s())
        if len(self._lags_s) == self._lags_s.maxlen:
            self._told(AlertKind.DATABASE_SLOW, self._here, conditions.database_slow(self._lags_s))

    async def look_at_keys(self) -> None:
        """Whether our keys open what is in the vault. Raises StoreUnavailable."""
        lacking = await self._keys.lacking()
        self._told(AlertKind.VAULT_KEY_MISSING, self._here, Passed() if lacking is None else Stands(lacking))

    async def _look_at_the_clock(self) -> None:
        asked, asked_s = self._clock.now(), self._clock.monotonic()
        by_the_store = await self._facts.now()
        took_s = self._clock.monotonic() - asked_s
        if took_s < conditions.ON_S:  # else the answer says more of the way than of the clock
            ahead_s = (asked - by_the_store).total_seconds() + took_s / 2
            self._own_ahead_s = ahead_s
            self._told(AlertKind.CLOCK_OFF, self._here, conditions.clock_off(ahead_s))

    # --- instances ------------------------------------------------------------------------------------------------

    async def look_at_instances(self) -> None:
        """Which have been unwell for long, and which are of a version that nobody checked."""
        placed = {each.instance.url: each.sessions for each in await self._loads_lately()}
        instances, now_s = self._instances(), self._clock.monotonic()
        for url, judged in self._watched.judged().items():
            about, instance = Subject.instance(url), instances.get(url)
            if instance is None:
                continue
            down = conditions.instance_down(
                judged,
                now_s,
                sessions=placed.get(url, 0),
                was_well=self._watched.was_well(url),
                draining=instance.state is InstanceState.DRAINING,
            )
            self._told(AlertKind.INSTANCE_DOWN, about, down)
            self._told(AlertKind.VERSION_UNCHECKED, about, self._unchecked(url))
            self._told(AlertKind.CLOCK_OFF, about, self._clock_of(url))
        self._forget_who_left(instances)

    def _unchecked(self, url: InstanceUrl) -> Condition:
        health = self._watched.health_of(url)
        if health is None:
            return None
        return Passed() if health.unchecked is None else Stands(health.unchecked)

    def _clock_of(self, url: InstanceUrl) -> Condition:
        """Against the database's, so that a gateway whose own clock is off says nothing else than the others."""
        ahead_s, own_s = self._watched.ahead_s(url), self._own_ahead_s
        return None if ahead_s is None or own_s is None else conditions.clock_off(ahead_s + own_s)

    def _forget_who_left(self, instances: Mapping[InstanceUrl, Instance]) -> None:
        for alert in self._alerts.standing():
            if alert.subject.about is not About.INSTANCE or alert.kind not in _OF_INSTANCES:
                continue
            if alert.subject.name not in instances:
                self._alerts.resolved(alert.kind, alert.subject)

    async def _loads_lately(self) -> Collection[InstanceLoad]:
        now_s = self._clock.monotonic()
        if now_s - self._loads_at_s >= LOADS_KEPT_S:
            self._loads, self._loads_at_s = await self._directory.loads(), now_s
        return self._loads

    # --- the fleet ------------------------------------------------------------------------------------------------

    async def look_at_facts(self) -> None:
        """What the store knows of messages, of growth and of the check of the fleet. Raises StoreUnavailable."""
        if self._policy.clocks_apart:
            await self._look_at_the_clock()
        found = await self._facts.facts(
            short=timedelta(hours=conditions.SHORT_WINDOW_H),
            long=timedelta(hours=conditions.LONG_WINDOW_H),
            unknown_after=conditions.UNKNOWN_AFTER,
        )
        unknown = conditions.unknown_waiting(found.unknown, found.oldest_unknown_at)
        self._told(AlertKind.UNKNOWN_WAITING, FLEET, unknown, anew=True)
        growth = AccountGrowth(found.added_short, found.added_long)
        short = conditions.capacity_short(
            _room(self._open(await self._loads_lately())), growth, self._policy.capacity_h
        )
        self._told(AlertKind.CAPACITY_SHORT, FLEET, short, anew=True)
        known = next((each for each in await self._schedules.schedules() if each.name == SYNC), None)
        running = conditions.schedule_not_running(known, self._policy.sync_expression, found.now)
        self._told(AlertKind.SYNC_NOT_RUNNING, FLEET, running)
        if known is not None:
            self._streak = self._streak.after(known)
            self._told(AlertKind.SYNC_FAILING, FLEET, conditions.schedule_failing(known, self._streak))

    def _open(self, loads: Collection[InstanceLoad]) -> list[InstanceLoad]:
        """Those that new sessions may be placed on now."""
        unfit = self._watched.unfit()
        return [
            each
            for each in loads
            if each.instance.state is InstanceState.ACTIVE
            and each.instance.mode is InstanceMode.ROUTE
            and each.instance.url not in unfit
        ]

    # --- telling --------------------------------------------------------------------------------------------------

    def _told(self, kind: AlertKind, about: Subject, found: Condition, *, anew: bool = False) -> None:
        """`anew`: what stands already takes the new reason; else it keeps the one that it was raised for."""
        if isinstance(found, Stands):
            if anew or all(each.kind is not kind for each in self._alerts.of(about)):
                self._alerts.raised(kind, about, found.reason)
        elif isinstance(found, Passed):
            self._alerts.resolved(kind, about)


def _room(loads: Collection[InstanceLoad]) -> int | None:
    """For how many more sessions there is room; None where some of it is endless, or there is nothing to fill."""
    capacities = [each.instance.capacity for each in loads]
    if not loads or None in capacities:
        return None
    return sum(max(0, (each.instance.capacity or 0) - each.sessions) for each in loads)

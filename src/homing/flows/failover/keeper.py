"""Wishing the sessions of an instance elsewhere when it is gone, unless so much seems gone that the fault is ours.

Every gateway does this for itself: a wish is a job for each session, of which there is one however many gateways see
the same.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from homing.decide.fleet import brake
from homing.decide.fleet.brake import Brake, BrakePolicy, Engaged, JudgedInstance
from homing.decide.moves import movable
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.wakeups import News
from homing.flows.failover.watching import Watching
from homing.flows.moves.requests import MoveRequests
from homing.model.alerts import FLEET, AlertKind, Subject
from homing.model.fleet import InstanceState, InstanceUrl, Placed, Placement, PlacementState, Route, SessionId, Takeover
from homing.model.instances.health import Gone, HealthJudgment, HealthState
from homing.ports import Clock, Directory, Fleet, StoreUnavailable

log = structlog.get_logger("homing")


@dataclass(frozen=True, slots=True)
class KeeperPolicy:
    """Times in seconds."""

    brake: BrakePolicy = field(default_factory=BrakePolicy)
    look_every_s: float = 0.5
    census_timeout_s: float = 0.4
    census_fresh_s: float = 0.3
    wish_again_after_s: float = 5.0
    missing_for_s: float = 1.0
    missing_within_s: float = 15.0
    by_itself: bool = True
    """Whether sessions are moved without anybody asking."""


class Keeper:
    """Looks at what `Watching` knows, and acts."""

    def __init__(
        self,
        watching: Watching,
        wishes: MoveRequests,
        directory: Directory,
        fleet: Fleet,
        news: News,
        clock: Clock,
        policy: KeeperPolicy,
        alerts: AlertBook | None = None,
        *,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._may_act = may_act
        self._watching, self._wishes, self._directory, self._fleet = watching, wishes, directory, fleet
        self._news, self._clock, self._policy = news, clock, policy
        self._alerts = alerts or AlertBook(Unkept(), clock)
        self._placed: dict[InstanceUrl, int] = {}
        self._wished_s: dict[InstanceUrl, float] = {}
        self._rounds: Counter[InstanceUrl] = Counter()
        self._told: set[tuple[InstanceUrl, SessionId]] = set()
        self._missing: dict[Placement, float] = {}
        self._missing_wanted: dict[Placement, MoveRequest] = {}
        self._brake: Brake = brake.OPEN

    @property
    def brake(self) -> Brake:
        """Whether so much seems gone that nothing is moved."""
        return self._brake

    def braked(self) -> str | None:
        """Why nothing is moved because so much seems gone; None while that is not so."""
        return self._brake.reason if isinstance(self._brake, Engaged) else None

    async def run(self) -> None:
        """Keep the fleet until cancelled."""
        while True:
            called = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.look_every_s):
                    called = await self._watching.worth_a_look.wait()
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("The keeper could not act", error=str(error))
            if called:
                await self._clock.sleep(_BREATH_S)

    async def look(self) -> int:
        """One look at everything that is known; answers how many wishes were entered. Raises StoreUnavailable."""
        self._watching.worth_a_look.clear()
        judged = self._watching.judged()
        self._forget_the_well(judged)
        if not self._gone(judged) and not self._missing_wanted:
            await self._count_placed_on_the_awaited(judged)
            self._hold_brake(judged)
            return 0
        if not self._policy.by_itself or not self._may_act() or self._watching.may_grant() is not None:
            return 0
        await self._watching.look_at_all(
            fresher_than_s=self._policy.census_fresh_s, timeout_s=self._policy.census_timeout_s
        )
        self._placed = {load.instance.url: load.sessions for load in await self._directory.loads()}
        judged = self._watching.judged()
        self._hold_brake(judged)
        if isinstance(self._brake, Engaged):
            return 0
        return await self._wish(self._gone(judged)) + await self._wish_missing()

    def missed(self, route: Route) -> None:
        """The session's instance answered and does not have it, and neither has any other.

        Twice in a while, for the same placement: a list may have been read before the session came up.
        """
        now_s, placement = self._clock.monotonic(), route.placement
        if placement.state is not PlacementState.HELD:
            return
        first_s = self._missing.setdefault(placement, now_s)
        if now_s - first_s > self._policy.missing_within_s:
            self._missing[placement] = now_s
        elif now_s - first_s >= self._policy.missing_for_s:
            url = placement.instance_url
            reason = f"{url} answers without it, and nobody else has it"
            self._missing_wanted[placement] = MoveRequest(
                route.session_id, MoveCause.MISSING, reason, url, placement.epoch, urgent=True
            )
            self._watching.worth_a_look.set()
        if len(self._missing) > _MISSING_MAX:
            self._missing = {where: at_s for where, at_s in self._missing.items() if now_s - at_s <= _REMEMBERED_S}

    # --- judging ------------------------------------------------------------------------------------------------

    def _gone(self, judged: Mapping[InstanceUrl, HealthJudgment]) -> dict[InstanceUrl, HealthJudgment]:
        """The instances that are provably out of action and not wished away lately."""
        now_s = self._clock.monotonic()
        return {
            url: each
            for url, each in judged.items()
            if each.gone is not None and now_s - self._wished_s.get(url, float("-inf")) >= self._again_after_s(url)
        }

    def _forget_the_well(self, judged: Mapping[InstanceUrl, HealthJudgment]) -> None:
        well = [url for url, each in judged.items() if each.state is HealthState.HEALTHY]
        for url in well:
            self._alerts.resolved(AlertKind.INSTANCE_GONE, Subject.instance(url))
            if self._wished_s.pop(url, None) is not None:
                self._rounds.pop(url, None)
                for told in [told for told in self._told if told[0] == url]:
                    self._told.discard(told)
                    self._alerts.resolved(AlertKind.LEFT_WHERE_IT_IS, Subject.session(told[1]))

    def _again_after_s(self, url: InstanceUrl) -> float:
        """What could not be moved is asked for again, with growing patience."""
        return self._policy.wish_again_after_s * min(2.0 ** self._rounds[url], 60.0)

    def _hold_brake(self, judged: Mapping[InstanceUrl, HealthJudgment]) -> None:
        before = self._brake
        self._brake = brake.brake(self._seen(judged), self._clock.monotonic(), self._policy.brake, before)
        if type(self._brake) is not type(before):
            if isinstance(self._brake, Engaged):
                self._alerts.raised(AlertKind.BRAKE_ENGAGED, FLEET, self._brake.reason)
            else:
                log.warning("Brake released", reason=self._brake.reason)
        if not isinstance(self._brake, Engaged):  # also one that another gateway engaged, or this one's last boot
            self._alerts.resolved(AlertKind.BRAKE_ENGAGED, FLEET)

    def _seen(self, judged: Mapping[InstanceUrl, HealthJudgment]) -> list[JudgedInstance]:
        seen = []
        for url, each in judged.items():
            health = self._watching.health_of(url)
            version = f"{health.engine} {health.version}" if health is not None and health.engine else ""
            seen.append(JudgedInstance(url, each.state, each.unwell_since_s, self._is_emptied(url), version))
        return seen

    def _is_emptied(self, url: InstanceUrl) -> bool:
        instance = self._fleet.roster.instances.get(url)
        draining = instance is not None and instance.state is InstanceState.DRAINING
        awaited = not self._watching.was_well(url)
        return self._placed.get(url, 1) == 0 and (draining or awaited or url in self._wished_s)

    async def _count_placed_on_the_awaited(self, judged: Mapping[InstanceUrl, HealthJudgment]) -> None:
        """An instance that was never up yet did not fall ill, unless sessions are placed on it."""
        unknown = [url for url in judged if url not in self._placed and not self._watching.was_well(url)]
        if any(judged[url].state is not HealthState.HEALTHY for url in unknown):
            with suppress(StoreUnavailable):
                loads = {load.instance.url: load.sessions for load in await self._directory.loads()}
                self._placed |= {url: loads.get(url, 0) for url in unknown}

    # --- wishing ------------------------------------------------------------------------------------------------

    async def _wish(self, gone: Mapping[InstanceUrl, HealthJudgment]) -> int:
        new = 0
        for url, judged in gone.items():
            self._wished_s[url] = self._clock.monotonic()
            self._rounds[url] += 1
            movable = await self._movable(url)
            if not movable:
                continue
            wishes = _wishes(url, judged, movable, self._news.awaited())
            made = await self._wishes.want(wishes)
            new += made
            if made:
                self._alerts.raised(AlertKind.INSTANCE_GONE, Subject.instance(url), judged.reason, sessions=made)
        return new

    async def _movable(self, url: InstanceUrl) -> list[Placed]:
        """The sessions placed there that are moved without anybody asking; the others are spoken of once."""
        placed = await self._directory.placed_on(url)
        accounts = await self._directory.accounts_of([each.session_id for each in placed])
        traits = self._fleet.traits(url)
        takeovers = {account.session_id: movable.takeover(account.takeover, traits) for account in accounts}
        kept = {session: takeover for session, takeover in takeovers.items() if takeover is not Takeover.AUTO}
        for session, takeover in kept.items():
            if (url, session) not in self._told:
                self._told.add((url, session))
                reason = f"{url} is out of action, and its takeover is {takeover.value}"
                self._alerts.raised(AlertKind.LEFT_WHERE_IT_IS, Subject.session(session), reason, url=url)
        return [each for each in placed if each.session_id not in kept]

    async def _wish_missing(self) -> int:
        wanted, self._missing_wanted = self._missing_wanted, {}
        down = self._watching.down()
        wishes = [wish for wish in wanted.values() if wish.from_url not in down]
        for placement in wanted:
            self._missing.pop(placement, None)
        return await self._wishes.want(wishes) if wishes else 0


_BREATH_S = 0.02
_REMEMBERED_S = 60.0
_MISSING_MAX = 10_000


def _wishes(
    url: InstanceUrl, judged: HealthJudgment, placed: Sequence[Placed], waiting: Collection[SessionId]
) -> list[MoveRequest]:
    cause = MoveCause.EXITED if judged.gone is Gone.EXITED else MoveCause.GONE
    reason = f"{url} is down: {judged.reason}"
    wishes = [
        MoveRequest(each.session_id, cause, reason, url, each.epoch, urgent=each.session_id in waiting)
        for each in placed
    ]
    return sorted(wishes, key=lambda wish: not wish.urgent)

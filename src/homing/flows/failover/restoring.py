"""Sessions that their instance lost with its process: found by its list, and started there again, a few at a time.

For gateways that hold no lease. Those that asked for their sessions while no gateway of ours answered came up empty,
and nobody else tells them what to open. What may be started is decided in `decide.restoring`; each start is a job.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.decide.starting import restoring
from homing.decide.starting.restoring import Blocked, RestoringPolicy, StartAgain, Vanished, Verdict, Wait
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.incarnations import Looking
from homing.flows.moves.move_jobs import KIND
from homing.flows.moves.requests import MoveRequests
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Instance, InstanceLoad, InstanceMode, InstanceUrl, SessionId
from homing.model.instances.leases import Incarnation
from homing.model.instances.observing import WouldKind
from homing.model.instances.restoring import Answered, Look, Looks, Recorded
from homing.model.work import FINISHED
from homing.ports import Clock, Directory, Fleet, InstanceHealth, StoreUnavailable, Work
from homing.ports.aside import Slices

log = structlog.get_logger("homing")

Would = Callable[[WouldKind, InstanceUrl, SessionId, str], None]

LOOK_EVERY_S = 5.0
LOOK_AT_ALL_EVERY_S = 60.0
"""What is missing where as many others are open, which nobody knows, is found by this."""
SHARE_OF_TIME = 0.1
"""Looking takes no more of the time than this."""
STANDS_AFTER_S = 20.0
"""What is missing for so long is an alert. One that is closed and opened anew is missing for some seconds."""


@dataclass(frozen=True, slots=True)
class RestoreJudgment:
    """One session that was looked at, where it is placed, and what becomes of it."""

    recorded: Recorded
    url: InstanceUrl
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class KnownInstances:
    """What is known of instances without asking them."""

    boot_of: Callable[[InstanceUrl], Incarnation | None]
    health_of: Callable[[InstanceUrl], InstanceHealth | None]

    def holds_leases(self, url: InstanceUrl) -> bool:
        """Whether the sessions of this instance are brought back by its leases."""
        health = self.health_of(url)
        return self.boot_of(url) is not None or (health is not None and health.capabilities.hold_lease)

    def seems_short(self, load: InstanceLoad) -> bool:
        """Whether it may lack some of what is placed there, by what it last said of itself."""
        health = self.health_of(load.instance.url)
        return health is None or health.sessions_total is None or health.sessions_total < load.sessions


class Restoring:
    """Every gateway looks; of each session there is one job at most. `held_back` says why nothing is started now."""

    def __init__(
        self,
        directory: Directory,
        fleet: Fleet,
        looking: Looking,
        known: KnownInstances,
        wishes: MoveRequests,
        work: Work,
        alerts: AlertBook,
        clock: Clock,
        policy: RestoringPolicy,
        held_back: Callable[[], str | None],
        *,
        would: Would = lambda *_: None,
        by_itself: bool = True,
    ) -> None:
        """`would` hears what would be done on instances that are only observed."""
        self._would = would
        self._directory, self._fleet, self._looking, self._known = directory, fleet, looking, known
        self._wishes, self._work, self._alerts, self._clock = wishes, work, alerts, clock
        self._policy, self._held_back, self._by_itself = policy, held_back, by_itself
        self._looked_at_all_s = float("-inf")
        self._missing_since_s: dict[SessionId, float] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began_s = self._clock.monotonic()
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("Missing sessions could not be looked for", error=str(error))
            took_s = self._clock.monotonic() - began_s
            await self._clock.sleep(max(LOOK_EVERY_S, took_s / SHARE_OF_TIME))

    async def look(self) -> Sequence[RestoreJudgment]:
        """Look where something seems to be missing, and now and then everywhere. Raises StoreUnavailable."""
        await self._note_those_that_came_back()
        loads, now_s = await self._open_ones(), self._clock.monotonic()
        at_all = now_s - self._looked_at_all_s >= LOOK_AT_ALL_EVERY_S
        seen = loads if at_all else [load for load in loads if self._known.seems_short(load)]
        looks = dict(await self._looking.look([load.instance.url for load in seen]))
        homes = [load.instance for load in seen if at_all or _lists_fewer(load, looks[load.instance.url])]
        judged = await self._judged(homes, looks)
        await self._tell(judged, at_all=at_all)
        if at_all:
            self._looked_at_all_s = now_s
        if self._by_itself and self._held_back() is None:
            await self._want(judged)
        return judged

    async def start_all(self, url: InstanceUrl | None = None) -> Sequence[RestoreJudgment]:
        """Start what is missing (on this instance) by the same rules; answers what becomes of every session there.

        Raises StoreUnavailable.
        """
        homes = [load.instance for load in await self._open_ones() if url in (None, load.instance.url)]
        judged = await self._judged(homes, dict(await self._looking.look([home.url for home in homes])))
        if (why := self._held_back()) is not None:
            return [_put_off(each, why) for each in judged]
        await self._want(judged)
        return judged

    # --- judging ------------------------------------------------------------------------------------------------

    async def _open_ones(self) -> list[InstanceLoad]:
        """The instances that hold no lease and have sessions, by the record."""
        loads = await self._directory.loads()
        return [load for load in loads if load.sessions and not self._known.holds_leases(load.instance.url)]

    async def _judged(self, homes: Sequence[Instance], seen: Looks) -> list[RestoreJudgment]:
        """The lists first, the records after them: what was opened or stopped in between is in the records."""
        looks = {home.url: seen[home.url] for home in homes}
        placed = await self._placed(homes)
        short = await self._short(homes, placed, looks)
        groups = self._could_hold(short)
        others = {url for home in short for url in groups[home.url]} - looks.keys()
        if others:
            looks |= await self._looking.look(sorted(others))
            placed = await self._placed(homes)
        await self._note_those_that_came_up(placed, looks)
        jobs = await self._under_way([each for there in placed.values() for each in there])
        judged: list[RestoreJudgment] = []
        slices = Slices(self._clock)
        for home in homes:
            of_group = {url: looks[url] for url in groups.get(home.url, [home.url])}
            judged += await self._of_one(home, placed[home.url], of_group, jobs, slices)
        return judged

    async def _short(
        self, homes: Sequence[Instance], placed: Mapping[InstanceUrl, Sequence[Recorded]], looks: Looks
    ) -> list[Instance]:
        """Those that do not list all that they should run."""
        short, slices = [], Slices(self._clock)
        for home in homes:
            if _lacks_some(home, placed[home.url], looks[home.url]):
                short.append(home)
            await slices.after(len(placed[home.url]))
        return short

    async def _of_one(
        self, home: Instance, placed: Sequence[Recorded], looks: Looks, jobs: Collection[SessionId], slices: Slices
    ) -> list[RestoreJudgment]:
        verdicts: dict[SessionId, Verdict] = {}
        for each in placed:
            verdicts[each.session_id] = restoring.judge(each, home, looks, placed, self._policy)
            await slices.after()
        if home.mode is InstanceMode.OBSERVE:
            self._note_would(home, placed, looks)
        busy = sum(restoring.is_opening(each, looks[home.url], self._policy) for each in placed)
        waiting = sum(each.session_id in jobs and isinstance(verdicts[each.session_id], StartAgain) for each in placed)
        open_jobs = {session: verdict for session, verdict in verdicts.items() if session in jobs}
        turned = restoring.in_turn(
            {session: verdict for session, verdict in verdicts.items() if session not in jobs},
            busy + waiting,
            self._policy,
        )
        told = open_jobs | turned
        return [RestoreJudgment(each, home.url, told[each.session_id]) for each in placed]

    def _note_would(self, home: Instance, placed: Sequence[Recorded], looks: Looks) -> None:
        """What would become of the sessions of an instance that is only observed, if it were routed."""
        routed = _as_routed(home)
        for each in placed:
            match restoring.judge(each, routed, looks, placed, self._policy):
                case StartAgain(reason=reason):
                    self._would(WouldKind.START, home.url, each.session_id, reason)
                case Vanished(reason=reason) | Blocked(reason=reason):
                    self._would(WouldKind.ALERT, home.url, each.session_id, f"session_missing: {reason}")
                case _:
                    pass

    async def _placed(self, homes: Sequence[Instance]) -> dict[InstanceUrl, list[Recorded]]:
        placed: dict[InstanceUrl, list[Recorded]] = {home.url: [] for home in homes}
        for each in await self._directory.recorded(instances=list(placed)) if placed else ():
            if each.placement.instance_url is not None:
                placed[each.placement.instance_url].append(each)
        return placed

    def _could_hold(self, homes: Sequence[Instance]) -> dict[InstanceUrl, list[InstanceUrl]]:
        """Of each of these, all that may have opened what is placed there."""
        known = self._fleet.roster.instances.values()
        leased = {each.url for each in known if homes and self._known.holds_leases(each.url)}
        return {home.url: restoring.could_hold(home, known, leased) for home in homes}

    async def _under_way(self, placed: Sequence[Recorded]) -> set[SessionId]:
        """Those that somebody moves or starts already."""
        jobs = await self._work.open_of(KIND, [each.session_id for each in placed])
        return {SessionId(session) for session, job in jobs.items() if job.state not in FINISHED}

    async def _note_those_that_came_up(self, placed: Mapping[InstanceUrl, Sequence[Recorded]], looks: Looks) -> None:
        up: list[SessionId] = []
        slices = Slices(self._clock)
        for url, there in placed.items():
            up += [each.session_id for each in there if restoring.came_up(each, looks[url])]
            await slices.after(len(there))
        await self._directory.mark_verified(up, self._clock.now())

    async def _note_those_that_came_back(self) -> None:
        """What exited and answers again is not as if no process of it ran."""
        gone = [each.url for each in self._fleet.roster.instances.values() if each.exited_at is not None]
        for look in (await self._looking.look(gone)).values():
            if isinstance(look, Answered):
                log.warning("Instance is back", url=look.url)
                await self._directory.came_back(look.url)

    # --- acting -------------------------------------------------------------------------------------------------

    async def _want(self, judged: Sequence[RestoreJudgment]) -> None:
        wishes = [_wish(each) for each in judged if isinstance(each.verdict, StartAgain)]
        new = await self._wishes.want(wishes) if wishes else 0
        if new:
            urls = sorted({wish.from_url or "" for wish in wishes})
            log.warning("Sessions are missing and started again", sessions=new, urls=urls[:5], instances=len(urls))

    async def _tell(self, judged: Sequence[RestoreJudgment], *, at_all: bool) -> None:
        """What is missing and not started is an alert for as long as that is so."""
        now_s, standing = self._clock.monotonic(), set()
        slices = Slices(self._clock)
        for each in judged:
            await slices.after()
            session = each.recorded.session_id
            if not isinstance(each.verdict, Vanished | Blocked):
                self._missing_since_s.pop(session, None)
                self._alerts.resolved(AlertKind.SESSION_MISSING, Subject.session(session))
                continue
            standing.add(session)
            if now_s - self._missing_since_s.setdefault(session, now_s) >= STANDS_AFTER_S:
                reason = each.verdict.reason
                self._alerts.raised(AlertKind.SESSION_MISSING, Subject.session(session), reason, url=each.url)
        if at_all:
            self._forget_others(standing)

    def _forget_others(self, standing: Collection[SessionId]) -> None:
        """Of sessions that were moved, stopped or deleted nothing stands any more."""
        self._missing_since_s = {each: at_s for each, at_s in self._missing_since_s.items() if each in standing}
        for alert in self._alerts.standing():
            if alert.kind is AlertKind.SESSION_MISSING and alert.subject.name not in standing:
                self._alerts.resolved(alert.kind, alert.subject)


def _lists_fewer(load: InstanceLoad, look: Look) -> bool:
    """Whether it may lack some of what is placed there, by its list: its sessions' records are read then."""
    return not isinstance(look, Answered) or len(look.sessions) < load.sessions


def _lacks_some(home: Instance, placed: Sequence[Recorded], look: Look) -> bool:
    if not isinstance(look, Answered):
        return False
    routed = _as_routed(home)
    wanted = (each for each in placed if restoring.not_ours_to_start(each, routed) is None)
    return any(each.session_id not in look.sessions for each in wanted)


def _as_routed(home: Instance) -> Instance:
    return replace(home, mode=InstanceMode.ROUTE)


def _put_off(judged: RestoreJudgment, why: str) -> RestoreJudgment:
    if not isinstance(judged.verdict, StartAgain):
        return judged
    return RestoreJudgment(judged.recorded, judged.url, Wait(0.0, f"nothing is started for the moment: {why}"))


def _wish(judged: RestoreJudgment) -> MoveRequest:
    session, url = judged.recorded, judged.url
    reason = judged.verdict.reason
    return MoveRequest(session.session_id, MoveCause.RESTORE, reason, url, session.placement.epoch, to_url=url)

"""Emptying an instance for a deploy: it is given nothing new, and each of its sessions is wished elsewhere.

What is wanted stands in the directory (the instance drains) and on the work table (a job for each session), so that
nothing of a drain is lost with the gateway that began it. Sessions that come while an instance drains, because they
were on their way there already or were found there, are wished elsewhere by whichever gateway sees them first.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from homing.decide.moves import movable
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.moves.move_jobs import KIND
from homing.flows.moves.requests import MoveRequests
from homing.flows.operations.routed import check_routed
from homing.model.errors import Code, Problem
from homing.model.fleet import (
    Instance,
    InstanceState,
    InstanceUrl,
    Placed,
    Placement,
    PlacementState,
    SessionId,
    SessionList,
)
from homing.model.sends.faults import Fault
from homing.model.work import Job, JobState
from homing.ports import Clock, Directory, Fleet, StoreUnavailable, Work

log = structlog.get_logger("homing")

TOLD_MAX = 100
"""Stuck sessions that are named; beyond, they are only counted."""
LIST_TIMEOUT_S = 2.0
HEALTH_TIMEOUT_S = 1.0
TEND_EVERY_S = 1.0
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Stuck:
    """A session that stays where it is until somebody does something about it."""

    session_id: SessionId
    account_id: int
    phone: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drain:
    """How far an instance is with being emptied.

    Of those that remain, for `moving` a job is open; `delayed` counts, by reason, those of them whose last attempt did
    not get through. `stuck` are not tried again by themselves; some of them are `told`.
    """

    instance: Instance
    remaining: int
    moving: int = 0
    stuck: int = 0
    told: tuple[Stuck, ...] = ()
    delayed: Mapping[str, int] = field(default_factory=dict)

    @property
    def unwished(self) -> int:
        """Sessions that came after it was asked for: they are taken along in a moment."""
        return self.remaining - self.moving - self.stuck


class Drains:
    """Empties instances, and says how far that is."""

    def __init__(self, directory: Directory, fleet: Fleet, work: Work, wishes: MoveRequests, clock: Clock) -> None:
        self._directory, self._fleet, self._work = directory, fleet, work
        self._wishes, self._clock = wishes, clock
        self._kept_by: dict[InstanceUrl, str | None] = {}

    async def run(self) -> None:
        """Take along what comes to instances that drain, until cancelled."""
        while True:
            await self._clock.sleep(TEND_EVERY_S)
            try:
                for instance in self._fleet.roster.instances.values():
                    if instance.state is InstanceState.DRAINING:
                        await self._tend(instance)
            except StoreUnavailable as error:
                log.warning("Instances that drain could not be looked after", error=str(error))

    async def drain(self, url: InstanceUrl) -> Drain:
        """Nothing new comes to the instance from here on, and what it has goes, also what was given up before.

        Raises Problem.
        """
        check_routed(self._fleet.roster, url, "nothing is moved away from it")
        instance = await self._set(url, InstanceState.DRAINING)
        if await self._rooted(url) is None:
            await self._wish(url, await self._directory.placed_on(url))
        return await self.progress(instance)

    async def undrain(self, url: InstanceUrl) -> Drain:
        """The instance takes sessions again, and keeps those whose move has not begun. Raises Problem."""
        instance = await self._set(url, InstanceState.ACTIVE)
        placed = await self._directory.placed_on(url)
        jobs = await self._work.open_of(KIND, [each.session_id for each in placed])
        settled = await self._settled([each.session_id for each in placed])
        waiting = [job for session, job in jobs.items() if session in settled and _leaves_by_drain(job, url)]
        for start in range(0, len(waiting), _AT_ONCE):
            await asyncio.gather(*(self._work.cancel(job.id) for job in waiting[start : start + _AT_ONCE]))
        log.warning("Instance drains no more", url=url, sessions=len(placed), kept=len(waiting))
        return await self.progress(instance)

    async def progress(self, instance: Instance) -> Drain:
        """How far it is. Sessions that were stopped or logged out are nowhere, and do not count."""
        url = instance.url
        placed = await self._directory.placed_on(url)
        rooted = await self._rooted(url)
        if rooted is not None:
            stuck = [Stuck(each.session_id, each.account_id, each.phone, rooted) for each in placed]
            return Drain(instance, len(placed), stuck=len(stuck), told=tuple(stuck[:TOLD_MAX]))
        jobs = await self._work.open_of(KIND, [each.session_id for each in placed])
        return _drain(instance, placed, jobs)

    async def _settled(self, sessions: Sequence[SessionId]) -> set[str]:
        """Those that have not begun to leave. The others are served by nobody, and must come to an end of their way."""
        accounts = await self._directory.accounts_of(sessions)
        return {account.session_id for account in accounts if account.placement.state is PlacementState.HELD}

    async def _tend(self, instance: Instance) -> None:
        placed = await self._directory.placed_on(instance.url)
        jobs = await self._work.open_of(KIND, [each.session_id for each in placed])
        unwished = [each for each in placed if _standing(jobs.get(each.session_id), instance, each) is None]
        if unwished and await self._rooted(instance.url) is None:
            await self._wish(instance.url, unwished)

    async def _wish(self, url: InstanceUrl, placed: Sequence[Placed]) -> None:
        reason = f"{url} is being emptied"
        in_order = await self._idle_first(url, placed) if placed else []
        wishes = [MoveRequest(each.session_id, MoveCause.DRAIN, reason, url, each.epoch) for each in in_order]
        new = await self._wishes.want(wishes) if wishes else 0
        log.warning("Instance drains", url=url, sessions=len(placed), new_jobs=new)

    async def _set(self, url: InstanceUrl, state: InstanceState) -> Instance:
        instance = await self._directory.set_instance_state(url, state)
        if instance is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        return instance

    async def _rooted(self, url: InstanceUrl) -> str | None:
        """Why none of its sessions can be opened elsewhere. One that does not answer, such as while its process is
        started anew, is what it was; of one that never answered each session is judged."""
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S)
        if not isinstance(can, Fault):
            self._kept_by[url] = movable.cannot_leave(can)
        return self._kept_by.get(url)

    async def _idle_first(self, url: InstanceUrl, placed: Sequence[Placed]) -> list[Placed]:
        """Those where nothing was said for the longest time; where it is not known, last."""
        listed = await self._fleet.driver(url).sessions(url, timeout_s=LIST_TIMEOUT_S)
        rows = listed.sessions if isinstance(listed, SessionList) else {}

        def idle_s(each: Placed) -> float:
            row = rows.get(each.session_id)
            return row.idle_s if row is not None and row.idle_s is not None else -1.0

        return sorted(placed, key=idle_s, reverse=True)


def _drain(instance: Instance, placed: Sequence[Placed], jobs: Mapping[str, Job]) -> Drain:
    stuck: list[Stuck] = []
    moving, delayed = 0, Counter[str]()
    for each in placed:
        job = _standing(jobs.get(each.session_id), instance, each)
        if job is None:
            continue
        if job.state is JobState.DEAD:
            stuck.append(Stuck(each.session_id, each.account_id, each.phone, job.reason))
        else:
            moving += 1
            delayed.update([job.reason] if job.reason and job.state is JobState.READY else [])
    return Drain(instance, len(placed), moving, len(stuck), tuple(stuck[:TOLD_MAX]), dict(delayed))


def _standing(job: Job | None, instance: Instance, placed: Placed) -> Job | None:
    """The job, if it still says something of the session as it is placed now."""
    if job is None or job.state is not JobState.DEAD:
        return job
    return job if gave_up_on(job, Placement(placed.session_id, instance.url, placed.epoch)) else None


def gave_up_on(job: Job, placement: Placement) -> bool:
    """Whether this dead job was about the session as it is placed now, and not about an earlier time."""
    wish = MoveRequest.of(job.payload)
    return (wish.from_url, wish.from_epoch) == (placement.instance_url, placement.epoch)


def _leaves_by_drain(job: Job, url: InstanceUrl) -> bool:
    wish = MoveRequest.of(job.payload)
    return wish.cause is MoveCause.DRAIN and wish.from_url == url and job.state in (JobState.READY, JobState.QUEUED)

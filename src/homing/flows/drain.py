"""Emptying an instance for a deploy: it is given nothing new, and each of its sessions is wished elsewhere.

What is wanted stands in the directory (the instance drains) and on the work table (a job for each session), so that
nothing of a drain is lost with the gateway that began it. Asking again wishes for what was left over.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from homing.decide import movable
from homing.decide.rehome import Cause, Wish
from homing.flows.keeper import Wishes
from homing.flows.rehome import KIND
from homing.model.errors import Code, Problem
from homing.model.faults import Fault
from homing.model.fleet import Instance, InstanceState, InstanceUrl, Placed, Placement, SessionId, SessionList
from homing.model.work import Job, JobState
from homing.ports import Directory, Fleet, Work

log = structlog.get_logger("homing")

TOLD_MAX = 100
"""Stuck sessions that are named; beyond, they are only counted."""
LIST_TIMEOUT_S = 2.0
HEALTH_TIMEOUT_S = 1.0
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
        """Sessions that came after it was asked for: asking again takes them along."""
        return self.remaining - self.moving - self.stuck


class Drains:
    """Empties instances, and says how far that is."""

    def __init__(self, directory: Directory, fleet: Fleet, work: Work, wishes: Wishes) -> None:
        self._directory, self._fleet, self._work, self._wishes = directory, fleet, work, wishes

    async def drain(self, url: InstanceUrl) -> Drain:
        """Nothing new comes to the instance from here on, and what it has goes. Raises Problem."""
        instance = await self._set(url, InstanceState.DRAINING)
        if await self._rooted(url) is None:
            placed = await self._idle_first(url, await self._directory.placed_on(url))
            reason = f"{url} is being emptied"
            wishes = [Wish(each.session_id, Cause.DRAIN, reason, url, each.epoch) for each in placed]
            new = await self._wishes.want(wishes) if wishes else 0
            log.warning("Instance drains", url=url, sessions=len(placed), new_jobs=new)
        return await self.progress(instance)

    async def undrain(self, url: InstanceUrl) -> Drain:
        """The instance takes sessions again, and keeps those whose move has not begun. Raises Problem."""
        instance = await self._set(url, InstanceState.ACTIVE)
        placed = await self._directory.placed_on(url)
        jobs = await self._work.open_of(KIND, [each.session_id for each in placed])
        waiting = [job for job in jobs.values() if _leaves_by_drain(job, url)]
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

    async def _set(self, url: InstanceUrl, state: InstanceState) -> Instance:
        instance = await self._directory.set_instance_state(url, state)
        if instance is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        return instance

    async def _rooted(self, url: InstanceUrl) -> str | None:
        """Why none of its sessions can be opened elsewhere. One that does not answer is judged session by session."""
        can = await self._fleet.capabilities(url, timeout_s=HEALTH_TIMEOUT_S)
        return None if isinstance(can, Fault) else movable.cannot_leave(can)

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
        job = jobs.get(each.session_id)
        if job is None:
            continue
        if job.state is not JobState.DEAD:
            moving += 1
            delayed.update([job.reason] if job.reason and job.state is JobState.READY else [])
        elif gave_up_on(job, Placement(each.session_id, instance.url, each.epoch)):
            stuck.append(Stuck(each.session_id, each.account_id, each.phone, job.reason))
    return Drain(instance, len(placed), moving, len(stuck), tuple(stuck[:TOLD_MAX]), dict(delayed))


def gave_up_on(job: Job, placement: Placement) -> bool:
    """Whether this dead job was about the session as it is placed now, and not about an earlier time."""
    wish = Wish.of(job.payload)
    return (wish.from_url, wish.from_epoch) == (placement.instance_url, placement.epoch)


def _leaves_by_drain(job: Job, url: InstanceUrl) -> bool:
    wish = Wish.of(job.payload)
    return wish.cause is Cause.DRAIN and wish.from_url == url and job.state in (JobState.READY, JobState.QUEUED)

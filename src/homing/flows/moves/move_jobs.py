"""Bringing sessions to another instance: fenced, granted, started, confirmed; by any gateway, exactly once.

A wish is a job on the work table, one for each session. Jobs that come together are done together: one reading, one
grant statement, one call to each target. What the next step is follows from the directory, the vault and the wish
alone, so that a gateway which dies in the middle leaves nothing that another one cannot go on with.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from homing.decide.moves import movable, next_step
from homing.decide.moves.next_step import MoveRequest, Obstacle
from homing.decide.starting import start_rate
from homing.decide.work.attempts import RetryPolicy
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.incarnations import Looking
from homing.flows.moves.attempt import attempt
from homing.flows.moves.batch import InstanceWatch, Means, RehomePolicy, Task
from homing.flows.moves.login_rate import Turns
from homing.flows.moves.milestones import Milestone
from homing.model.fleet import SessionId
from homing.model.tracing import trace_id_now
from homing.model.work import Dead, Ending, Job, JobId, NewJob, Priority, Retry
from homing.ports import Clock, Directory, Entropy, Fleet, Grants, Leases, Meters, StoreUnavailable, Work

log = structlog.get_logger("homing")

KIND = "rehome"
PATIENCE = RetryPolicy(waits_s=(0.5,) * 4 + (2.0,) * 10 + (10.0,) * 50, give_up_after_s=600.0)
"""An attempt that failed is soon made again: somebody may wait. After ten minutes the keeper begins anew."""
TURN_COMES_WITHIN_S = 7_200.0
"""Those that wait for their turn on an instance that starts few in a minute are not given up meanwhile."""
_STORE_AGAIN_S = 1.0
_LOOKS = 30
_SELDOM_S = 10.0


class WishList:
    """Wishes on the work table, for whoever only enters them."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        """Enter the wishes; answers how many were new. A session for which one is unfinished gets no second one."""
        ids = await self._work.enqueue([_job(wish) for wish in wishes])
        return sum(made is not None for made in ids)


class Rehoming:
    """Wishes are entered with `want`; `do` does the jobs that they became."""

    def __init__(
        self,
        directory: Directory,
        grants: Grants,
        leases: Leases,
        fleet: Fleet,
        work: Work,
        watch: InstanceWatch,
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        policy: RehomePolicy,
        reached: Callable[[Milestone], None] = lambda _: None,
        alerts: AlertBook | None = None,
        *,
        braked: Callable[[], str | None] = lambda: None,
    ) -> None:
        turns, looking = Turns(clock, policy.logins_per_instance), Looking(fleet, watch.refused_ago_s)
        told = alerts or AlertBook(Unkept(), clock)
        self._means = Means(
            directory, grants, leases, fleet, watch, clock, meters, policy, turns, reached, told, looking, braked
        )
        self._work, self._clock, self._entropy, self._policy = work, clock, entropy, policy

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        """Enter the wishes; answers how many were new. A session for which one is unfinished gets no second one."""
        return await WishList(self._work).want(wishes)

    async def obstacle(self, session: SessionId) -> Obstacle | None:
        """What stands in the way of a session that is to be elsewhere."""
        found = next_step.obstacle(await self._work.latest(KIND, session))
        return found if found is not None else await self._lost(session)

    async def _lost(self, session: SessionId) -> Obstacle | None:
        """Of one whose instance is down and holds no lease: nothing happens until a person does something."""
        accounts = await self._means.directory.accounts_of([session])
        url = accounts[0].placement.instance_url if accounts else None
        if url is None or url not in self._means.watch.down():
            return None
        leased = any(boot.instance_url == url for boot in await self._means.leases.incarnations())
        return None if leased else Obstacle(f"{url} holds no lease, and is down: {movable.alone(url)}")

    async def do(self, jobs: Sequence[Job]) -> Mapping[JobId, Ending]:
        """One attempt at all of these; how it ended for each.

        Those that nobody holds go all together. Planned moves go a few at a time, and while they do nobody waits for
        them: a session is held by nobody for as long as its group takes.
        """
        wishes = {job.id: MoveRequest.of(job.payload) for job in jobs}
        planned = [job for job in jobs if wishes[job.id].cause in next_step.PLANNED]
        lost = [job for job in jobs if wishes[job.id].cause not in next_step.PLANNED]
        at_once, by_and_by = await asyncio.gather(self._attempt(lost, wishes), self._by_and_by(planned, wishes))
        endings = {**at_once, **by_and_by}
        return {job.id: self._patient(job, endings[job.id]) for job in jobs if job.id in endings}

    async def _by_and_by(self, jobs: Sequence[Job], wishes: Mapping[JobId, MoveRequest]) -> Mapping[JobId, Ending]:
        endings: dict[JobId, Ending] = {}
        together = self._policy.leave_together
        for first in range(0, len(jobs), together):
            endings |= await self._attempt(jobs[first : first + together], wishes)
        return endings

    async def _attempt(self, jobs: Sequence[Job], wishes: Mapping[JobId, MoveRequest]) -> Mapping[JobId, Ending]:
        if not jobs:
            return {}
        tasks = [Task(job, wishes[job.id], {"waited": self._age_ms(job)}) for job in jobs]
        try:
            return await attempt(self._means, tasks, self._entropy.uuid())
        except StoreUnavailable as error:
            return {job.id: Retry(_STORE_AGAIN_S, f"the database is away: {error}") for job in jobs}

    def _patient(self, job: Job, ending: Ending) -> Ending:
        """To wait is no failure: it is bounded by time and not by how often we looked.

        What takes long is looked at less and less often.
        """
        if not isinstance(ending, Retry):
            return ending
        age_s = self._age_ms(job) / 1000
        if ending.reason.startswith(start_rate.TURN) and age_s <= TURN_COMES_WITHIN_S:
            return Retry(ending.after_s, ending.reason, counts=False)
        if PATIENCE.give_up_after_s is not None and age_s > PATIENCE.give_up_after_s:
            return Dead(f"given up at the age of {age_s:.0f} s: {ending.reason}")
        return Retry(max(ending.after_s, min(age_s / _LOOKS, _SELDOM_S)), ending.reason, counts=False)

    def _age_ms(self, job: Job) -> int:
        return max(0, int((self._clock.now() - job.created_at).total_seconds() * 1000))


def _job(wish: MoveRequest) -> NewJob:
    priority = Priority.URGENT if wish.urgent else Priority.BULK if wish.cause in next_step.PLANNED else Priority.NORMAL
    traced = wish if wish.trace_id is not None else replace(wish, trace_id=trace_id_now())
    return NewJob(KIND, traced.payload(), dedup=wish.session_id, priority=priority)

"""Bringing sessions to another instance: fenced, granted, started, confirmed; by any gateway, exactly once.

A wish is a job on the work table, one for each session. Jobs that come together are done together: one reading, one
grant statement, one call to each target. What the next step is follows from the directory, the vault and the wish
alone, so that a gateway which dies in the middle leaves nothing that another one cannot go on with.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, assert_never

import structlog

from homing.decide import placement, rehome
from homing.decide.placement import Chosen, NoRoom, Wanted
from homing.decide.rehome import Adopt, Cause, Give, Known, Leave, NotMoved, Obstacle, Over, Start, Stop, Wish
from homing.decide.rooms import Load
from homing.decide.work import RetryPolicy
from homing.flows.milestones import Milestone
from homing.flows.turns import Turns
from homing.model.faults import Fault, Phase
from homing.model.fleet import (
    Account,
    InstanceState,
    InstanceUrl,
    ListedSession,
    MoveKind,
    Placement,
    Rebinding,
    SessionId,
    SessionStatus,
)
from homing.model.leases import Incarnation
from homing.model.vault import Arrival, Granted, Granting, SessionHolding
from homing.model.work import Dead, Done, Ending, Job, JobId, NewJob, Priority, Retry
from homing.ports import Clock, Directory, Entropy, Fleet, Grants, Leases, Meters, SessionStart, StoreUnavailable, Work

log = structlog.get_logger("homing")

KIND = "rehome"
PATIENCE = RetryPolicy(waits_s=(0.5,) * 4 + (2.0,) * 10 + (10.0,) * 50, give_up_after_s=600.0)
"""An attempt that failed is soon made again: somebody may wait. After ten minutes the keeper begins anew."""
_FAR_S = 2.0
_STORE_AGAIN_S = 1.0
_LOOKS = 30
_SELDOM_S = 10.0
_UNLINKED = (SessionStatus.PAIRING, SessionStatus.LOGGED_OUT)


@dataclass(frozen=True, slots=True)
class RehomePolicy:
    """Times in seconds, rates in logins per second."""

    logins_per_instance: float = 20.0
    logins_fleet: float = 500.0
    start_timeout_s: float = 8.0
    stop_timeout_s: float = 5.0
    look_every_s: float = 0.1
    leave_together: int = 8
    again_after_s: float = 0.2
    no_room_after_s: float = 2.0


class Watch(Protocol):
    """What the keeper knows of the instances at this moment."""

    def down(self) -> frozenset[InstanceUrl]: ...

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        """The loads, with what the instances last said of themselves."""
        ...

    def unfit(self) -> dict[InstanceUrl, str]:
        """What is wrong with the instances that nothing should be placed on."""
        ...

    def may_grant(self) -> str | None:
        """Why nothing may be granted at the moment; None if it may."""
        ...

    def saw(self, url: InstanceUrl, phase: Phase | None) -> None: ...


@dataclass(slots=True)
class _Task:
    """One session on its way, in our hands."""

    job: Job
    wish: Wish
    steps: dict[str, int]
    placement: Placement | None = None
    account: Account | None = None
    holding: SessionHolding | None = None
    stopped: bool = False


class WishList:
    """Wishes on the work table, for whoever only enters them."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def want(self, wishes: Sequence[Wish]) -> int:
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
        watch: Watch,
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        policy: RehomePolicy,
        reached: Callable[[Milestone], None] = lambda _: None,
    ) -> None:
        self._directory, self._grants, self._leases = directory, grants, leases
        self._fleet, self._work, self._watch, self._reached = fleet, work, watch, reached
        self._clock, self._entropy, self._meters, self._policy = clock, entropy, meters, policy
        self._turns = Turns(clock, policy.logins_per_instance)

    async def want(self, wishes: Sequence[Wish]) -> int:
        """Enter the wishes; answers how many were new. A session for which one is unfinished gets no second one."""
        return await WishList(self._work).want(wishes)

    async def obstacle(self, session: SessionId) -> Obstacle | None:
        """What stands in the way of a session that is to be elsewhere."""
        return rehome.obstacle(await self._work.latest(KIND, session))

    async def do(self, jobs: Sequence[Job]) -> Mapping[JobId, Ending]:
        """One attempt at all of these; how it ended for each.

        Those that nobody holds go all together. Planned moves go a few at a time, and while they do nobody waits for
        them: a session is held by nobody for as long as its group takes.
        """
        wishes = {job.id: Wish.of(job.payload) for job in jobs}
        planned = [job for job in jobs if wishes[job.id].cause in rehome.PLANNED]
        lost = [job for job in jobs if wishes[job.id].cause not in rehome.PLANNED]
        at_once, by_and_by = await asyncio.gather(self._attempt(lost, wishes), self._by_and_by(planned, wishes))
        endings = {**at_once, **by_and_by}
        return {job.id: self._patient(job, endings[job.id]) for job in jobs if job.id in endings}

    async def _by_and_by(self, jobs: Sequence[Job], wishes: Mapping[JobId, Wish]) -> Mapping[JobId, Ending]:
        endings: dict[JobId, Ending] = {}
        together = self._policy.leave_together
        for first in range(0, len(jobs), together):
            endings |= await self._attempt(jobs[first : first + together], wishes)
        return endings

    async def _attempt(self, jobs: Sequence[Job], wishes: Mapping[JobId, Wish]) -> Mapping[JobId, Ending]:
        if not jobs:
            return {}
        tasks = [_Task(job, wishes[job.id], {"waited": self._age_ms(job)}) for job in jobs]
        try:
            return await _Attempt(self, tasks, self._clock.monotonic()).run()
        except StoreUnavailable as error:  # what was done is done, and what was not is found so by the next attempt
            return {job.id: Retry(_STORE_AGAIN_S, f"the database is away: {error}") for job in jobs}

    def _patient(self, job: Job, ending: Ending) -> Ending:
        """To wait is no failure: it is bounded by time and not by how often we looked.

        What takes long is looked at less and less often.
        """
        if not isinstance(ending, Retry):
            return ending
        age_s = self._age_ms(job) / 1000
        if PATIENCE.give_up_after_s is not None and age_s > PATIENCE.give_up_after_s:
            return Dead(f"given up at the age of {age_s:.0f} s: {ending.reason}")
        return Retry(max(ending.after_s, min(age_s / _LOOKS, _SELDOM_S)), ending.reason, counts=False)

    def _age_ms(self, job: Job) -> int:
        return max(0, int((self._clock.now() - job.created_at).total_seconds() * 1000))


class _Attempt:
    """One attempt at some sessions together."""

    def __init__(self, flow: Rehoming, tasks: Sequence[_Task], began_s: float) -> None:
        self._directory, self._grants, self._leases = flow._directory, flow._grants, flow._leases
        self._fleet, self._watch, self._meters = flow._fleet, flow._watch, flow._meters
        self._clock, self._policy, self._turns = flow._clock, flow._policy, flow._turns
        self._reached = flow._reached
        self._run_id = flow._entropy.uuid()
        self._tasks, self._mark_s = tasks, began_s
        self._endings: dict[JobId, Ending] = {}
        self._lives: dict[InstanceUrl, Incarnation] = {}

    async def run(self) -> Mapping[JobId, Ending]:
        await self._read(self._tasks)
        steps = [(task, self._next(task)) for task in self._tasks]
        ready = await self._ready([task for task, step in steps if isinstance(step, Leave)])
        vacated = await self._vacate([*ready, *(task for task, step in steps if isinstance(step, Stop))])
        steps = [(task, step) for task, step in steps if not isinstance(step, Leave | Stop)]
        steps += [(task, self._next(task)) for task in vacated]
        await self._adopt([(task, step) for task, step in steps if isinstance(step, Adopt)])
        given = await self._give([(task, step) for task, step in steps if isinstance(step, Give)])
        begun = [task for task, step in steps if isinstance(step, Start)]
        await self._start([*begun, *given])
        for task, step in steps:
            self._conclude(task, step)
        return self._endings

    # --- reading and judging ------------------------------------------------------------------------------------

    async def _read(self, tasks: Collection[_Task]) -> None:
        sessions = [task.wish.session_id for task in tasks]
        accounts = {account.session_id: account for account in await self._directory.accounts_of(sessions)}
        holdings = await self._grants.fenced(sessions)
        self._lives = {each.instance_url: each for each in await self._leases.incarnations() if each.holds_lease}
        for task in tasks:
            task.account = accounts.get(task.wish.session_id)
            task.holding = holdings.get(task.wish.session_id)
            task.placement = task.account.placement if task.account is not None else None
        self._reached(Milestone.READ)

    def _next(self, task: _Task) -> rehome.Step:
        return rehome.next_step(task.wish, self._known(task))

    def _known(self, task: _Task) -> Known:
        return Known(task.account, task.holding, self._lives, self._watch.down(), task.stopped)

    def _conclude(self, task: _Task, step: rehome.Step) -> None:
        """The endings of those for which nothing was to be done."""
        match step:
            case Over(reason=reason):
                self._end(task, Done(reason))
            case NotMoved(reason=reason):
                log.warning("Session not moved", session_id=task.wish.session_id, reason=reason, cause=task.wish.cause)
                self._end(task, Dead(reason))
            case Adopt() | Leave() | Stop() | Give() | Start():
                self._end(task, Retry(self._policy.again_after_s, "it is not there yet"))
            case _:
                assert_never(step)

    def _end(self, task: _Task, ending: Ending) -> None:
        self._endings.setdefault(task.job.id, ending)

    def _lap(self, tasks: Iterable[_Task], step: str) -> None:
        """Note how long the part that just ended took."""
        now_s = self._clock.monotonic()
        for task in tasks:
            task.steps[step] = int((now_s - self._mark_s) * 1000)
        self._mark_s = now_s

    async def _adopt(self, found: Sequence[tuple[_Task, Adopt]]) -> None:
        """Let the record follow the vault."""
        changes = [
            Rebinding(step.placement, step.url, step.epoch, MoveKind.REDISCOVERY, step.reason) for _, step in found
        ]
        applied = await self._directory.rebind(changes, run_id=self._run_id) if changes else []
        if applied:
            self._meters.moved(MoveKind.REDISCOVERY, len(applied))
        adopted = {change.session_id for change in applied}
        for task, step in found:
            if task.wish.session_id in adopted:
                self._end(task, Done(step.reason))

    # --- letting the holder stop --------------------------------------------------------------------------------

    async def _ready(self, tasks: Sequence[_Task]) -> list[_Task]:
        """Those that have somewhere to go and can log in there at once. The others serve on where they are."""
        tasks = await self._without_those_that_stay(tasks)
        chosen = await self._choose(tasks) if tasks else {}
        turns: dict[InstanceUrl, int] = {}
        ready: list[_Task] = []
        waiting: list[_Task] = []
        for task in sorted(tasks, key=lambda task: (task.job.priority, task.job.id)):
            where = chosen[task.wish.session_id]
            if isinstance(where, NoRoom):
                self._end(task, Retry(self._policy.no_room_after_s, rehome.NO_ROOM + where.reason))
                continue
            url = where.instance.url
            turns.setdefault(url, self._turns.left(url))
            turns[url] -= 1
            (ready if turns[url] >= 0 else waiting).append(task)
        self._queue(waiting, targets=len(turns), why="its turn to leave has not come")
        return ready

    async def _without_those_that_stay(self, tasks: Sequence[_Task]) -> Sequence[_Task]:
        """Those whose instances were to be emptied, and are not any more."""
        if not any(task.wish.cause is Cause.DRAIN for task in tasks):
            return tasks
        instances = await self._directory.instances()
        active = {instance.url for instance in instances if instance.state is InstanceState.ACTIVE}
        staying = [task for task in tasks if task.wish.cause is Cause.DRAIN and task.wish.from_url in active]
        for task in staying:
            self._end(task, Done(f"it stays: {task.wish.from_url} is not being emptied any more"))
        return [task for task in tasks if task not in staying]

    def _queue(self, waiting: Sequence[_Task], *, targets: int, why: str) -> None:
        """Each is tried again soon, or when its turn may come if that is far: many who ask all the time cost much."""
        per_s = max(1, targets) * self._policy.logins_per_instance
        for place, task in enumerate(waiting, start=1):
            far_s = place / per_s
            self._end(task, Retry(far_s if far_s > _FAR_S else self._policy.again_after_s, why))

    async def _vacate(self, tasks: Sequence[_Task]) -> list[_Task]:
        """New messages wait from here on; those under way come to their end; then the holder lets go."""
        if not tasks:
            return []
        blocked = self._watch.may_grant()
        if blocked is not None:
            self._put_off(tasks, blocked)
            return []
        left = await self._grants.leave([task.placement for task in tasks if task.placement is not None])
        now_moving = {placement.session_id: placement for placement in left}
        ours = [task for task in tasks if task.wish.session_id in now_moving]
        for task in ours:
            assert task.account is not None
            task.placement = now_moving[task.wish.session_id]
            task.account = replace(task.account, placement=task.placement)
        self._reached(Milestone.LEFT)
        await asyncio.gather(*(self._stop(task) for task in ours))
        self._reached(Milestone.STOPPED)
        self._lap(ours, "stop")
        return [task for task in ours if task.job.id not in self._endings]

    async def _stop(self, task: _Task) -> None:
        account = task.account
        assert account is not None
        url = account.placement.instance_url
        assert url is not None
        start = _start_of(account, account.placement)
        fault = await self._fleet.driver(url).stop(url, start, timeout_s=self._policy.stop_timeout_s)
        self._watch.saw(url, fault.phase if fault is not None else None)
        if fault is None or fault.phase in (Phase.SESSION_NOT_FOUND, Phase.EPOCH_STALE) or task.holding is not None:
            # The vault stops even a holder that did not answer.
            task.stopped = True
            return
        await self._grants.stay([account.placement])
        self._end(task, Dead(f"{url} did not stop it ({fault}); it stays there"))

    # --- granting -----------------------------------------------------------------------------------------------

    async def _give(self, wanted: Sequence[tuple[_Task, Give]]) -> list[_Task]:
        if not wanted:
            return []
        tasks = [task for task, _ in wanted]
        blocked = self._watch.may_grant()
        if blocked is not None:
            self._put_off(tasks, blocked)
            return []
        chosen = await self._choose(tasks)
        self._reached(Milestone.CHOSEN)
        self._lap(tasks, "choose")
        grantings = {
            task.wish.session_id: self._granting(task, give, where)
            for task, give in wanted
            if isinstance(where := chosen[task.wish.session_id], Chosen)
        }
        granted = await self._grants.grant(
            list(grantings.values()),
            fleet_logins_per_s=self._policy.logins_fleet,
            instance_logins_per_s=self._policy.logins_per_instance,
            run_id=self._run_id,
        )
        self._reached(Milestone.GRANTED)
        return self._entered(tasks, granted, chosen)

    async def _choose(self, tasks: Sequence[_Task]) -> Mapping[SessionId, Chosen | NoRoom]:
        """A place for each: where somebody wants it, or anywhere that is fit, the urgent ones first."""
        placed = [Load(load.instance, load.sessions) for load in await self._directory.loads()]
        loads = self._watch.loads_now(placed)
        unfit = {load.instance.url: "holds no lease" for load in loads if load.instance.url not in self._lives}
        unfit |= self._watch.unfit()
        logins = {load.instance.url: self._turns.left(load.instance.url) for load in loads}
        wanted = [_wanted(task, self._known(task)) for task in sorted(tasks, key=lambda task: task.job.priority)]
        return placement.choose_all(wanted, loads, unfit=unfit, logins=logins)

    def _granting(self, task: _Task, give: Give, where: Chosen) -> Granting:
        url = where.instance.url
        life = self._lives.get(url)
        reason = f"{task.wish.reason}; {where.reason}"
        return Granting(give.placement, url, life.id if life else None, give.fence, task.wish.move, reason)

    def _entered(
        self, tasks: Sequence[_Task], granted: Sequence[Granted], chosen: Mapping[SessionId, Chosen | NoRoom]
    ) -> list[_Task]:
        """Who was granted; the others wait for room, for a login to be free, or find the record changed."""
        moving = {each.granting.session_id: each for each in granted}
        waiting: list[_Task] = []
        self._lap(tasks, "grant")
        for task in tasks:
            where, each = chosen[task.wish.session_id], moving.get(task.wish.session_id)
            if isinstance(where, Chosen):
                self._turns.used(where.instance.url, granted=each is not None)
            if each is not None:
                task.placement = each.placement
                _log_granted(each, task)
            elif isinstance(where, NoRoom):
                log.error("No room for a session", alert=True, session_id=task.wish.session_id, reason=where.reason)
                self._end(task, Retry(self._policy.no_room_after_s, rehome.NO_ROOM + where.reason))
            else:
                waiting.append(task)
        targets = {where.instance.url for where in chosen.values() if isinstance(where, Chosen)}
        self._queue(
            waiting,
            targets=len(targets),
            why="its turn to log in has not come, its place was taken, or its record changed",
        )
        return [task for task in tasks if task.wish.session_id in moving]

    def _put_off(self, tasks: Iterable[_Task], why: str) -> None:
        for task in tasks:
            self._end(task, Retry(1.0, why))

    # --- starting -----------------------------------------------------------------------------------------------

    async def _start(self, tasks: Sequence[_Task]) -> None:
        by_target: dict[InstanceUrl, list[_Task]] = defaultdict(list)
        for task in tasks:
            assert task.placement is not None
            assert task.placement.instance_url is not None
            by_target[task.placement.instance_url].append(task)
        await asyncio.gather(*(self._start_on(url, group) for url, group in by_target.items()))

    async def _start_on(self, url: InstanceUrl, tasks: Sequence[_Task]) -> None:
        starts = [_start_of(task.account, task.placement) for task in tasks if task.account and task.placement]
        mark_s = self._clock.monotonic()
        answer = await self._fleet.driver(url).start_many(url, starts, timeout_s=self._policy.start_timeout_s)
        self._watch.saw(url, answer.phase if isinstance(answer, Fault) else None)
        self._reached(Milestone.STARTED)
        if isinstance(answer, Fault):
            for task in tasks:
                self._end(task, Retry(self._policy.again_after_s, f"{url} could not be told to start it: {answer}"))
            return
        took_ms = int((self._clock.monotonic() - mark_s) * 1000)
        for task in tasks:
            task.steps["start"] = took_ms
        await self._arrived(url, [(task, answer.get(task.wish.session_id)) for task in tasks])

    async def _arrived(self, url: InstanceUrl, answers: Sequence[tuple[_Task, ListedSession | Fault | None]]) -> None:
        up = [task for task, row in answers if isinstance(row, ListedSession) and row.can_send]
        arrived = await self._grants.arrive([self._arrival(task) for task in up])
        self._reached(Milestone.ARRIVED)
        held = {arrival.placement.session_id for arrival in arrived}
        self._count(task for task in up if task.wish.session_id in held)
        for task, row in answers:
            if task.wish.session_id in held:
                self._end(
                    task, Done(f"it can send on {url} under epoch {task.placement.epoch if task.placement else '?'}")
                )
            else:
                await self._not_up(url, task, row)

    async def _not_up(self, url: InstanceUrl, task: _Task, row: ListedSession | Fault | None) -> None:
        if isinstance(row, ListedSession) and row.status in _UNLINKED:
            await self._directory.set_status(task.wish.session_id, SessionStatus.LOGGED_OUT)
            await self._grants.stay([task.placement] if task.placement else [])
            self._end(task, Dead(f"{url} opened it, and WhatsApp does not know it any more: it needs pairing"))
            return
        why = f"{url} says {row.status.value}" if isinstance(row, ListedSession) else f"{url} could not open it: {row}"
        self._end(task, Retry(self._policy.again_after_s, why))

    def _arrival(self, task: _Task) -> Arrival:
        assert task.placement is not None
        age_ms = task.steps["waited"] + sum(ms for step, ms in task.steps.items() if step != "waited")
        return Arrival(task.placement, task.steps, age_ms)

    def _count(self, arrived: Iterable[_Task]) -> None:
        tasks = list(arrived)
        for kind, count in Counter(task.wish.move for task in tasks).items():
            self._meters.moved(kind, count)
        for task in tasks:
            self._meters.arrived(task.wish.move, sum(task.steps.values()) / 1000)


def _job(wish: Wish) -> NewJob:
    priority = Priority.URGENT if wish.urgent else Priority.BULK if wish.cause in rehome.PLANNED else Priority.NORMAL
    return NewJob(KIND, wish.payload(), dedup=wish.session_id, priority=priority)


def _wanted(task: _Task, known: Known) -> Wanted:
    assert task.account is not None
    wish, leaves = task.wish, rehome.leaves(task.wish, known)
    return Wanted(wish.session_id, task.account.requires, wish.from_url, to_url=wish.to_url, leaves=leaves)


def _start_of(account: Account, placement: Placement) -> SessionStart:
    return SessionStart(account.session_id, account.workspace_id, account.id, placement.epoch)


def _log_granted(granted: Granted, task: _Task) -> None:
    granting = granted.granting
    log.warning(
        "Session moves",
        session_id=granting.session_id,
        account_id=task.account.id if task.account else None,
        old_url=granting.expected.instance_url,
        new_url=granting.to_url,
        epoch=granted.epoch,
        fence=granting.fence.value,
        reason=granting.reason,
    )

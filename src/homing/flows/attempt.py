"""One attempt at bringing some sessions elsewhere, together: one reading, one grant statement, one call to each target.

What the next step is follows from the directory, the vault and the wish alone.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, assert_never

import structlog

from homing.decide import placement, rehome
from homing.decide.placement import Chosen, NoRoom, Wanted
from homing.decide.rehome import Adopt, Cause, Give, Known, Leave, NotMoved, Over, Start, Stop, Wish
from homing.decide.rooms import Load
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
from homing.model.work import Dead, Done, Ending, Job, JobId, Retry
from homing.ports import Clock, Directory, Fleet, Grants, Leases, Meters, SessionStart

log = structlog.get_logger("homing")

_FAR_S = 2.0
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


@dataclass(frozen=True, slots=True)
class Means:
    """What attempts work with. All of a gateway share the `turns`; `reached` hears how far one is."""

    directory: Directory
    grants: Grants
    leases: Leases
    fleet: Fleet
    watch: Watch
    clock: Clock
    meters: Meters
    policy: RehomePolicy
    turns: Turns
    reached: Callable[[Milestone], None]


@dataclass(slots=True)
class Task:
    """One session on its way, in our hands."""

    job: Job
    wish: Wish
    steps: dict[str, int]
    placement: Placement | None = None
    account: Account | None = None
    holding: SessionHolding | None = None
    stopped: bool = False


class Attempt:
    """One attempt at some sessions together."""

    def __init__(self, means: Means, tasks: Sequence[Task], run_id: str) -> None:
        self._directory, self._grants, self._leases = means.directory, means.grants, means.leases
        self._fleet, self._watch, self._meters = means.fleet, means.watch, means.meters
        self._clock, self._policy, self._turns = means.clock, means.policy, means.turns
        self._reached = means.reached
        self._run_id = run_id
        self._tasks, self._mark_s = tasks, means.clock.monotonic()
        self._endings: dict[JobId, Ending] = {}
        self._lives: dict[InstanceUrl, Incarnation] = {}

    async def run(self) -> Mapping[JobId, Ending]:
        """How it ended for each. Raises StoreUnavailable: what was done is done, and the next attempt finds it so."""
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

    async def _read(self, tasks: Collection[Task]) -> None:
        sessions = [task.wish.session_id for task in tasks]
        accounts = {account.session_id: account for account in await self._directory.accounts_of(sessions)}
        holdings = await self._grants.fenced(sessions)
        self._lives = {each.instance_url: each for each in await self._leases.incarnations() if each.holds_lease}
        for task in tasks:
            task.account = accounts.get(task.wish.session_id)
            task.holding = holdings.get(task.wish.session_id)
            task.placement = task.account.placement if task.account is not None else None
        self._reached(Milestone.READ)

    def _next(self, task: Task) -> rehome.Step:
        return rehome.next_step(task.wish, self._known(task))

    def _known(self, task: Task) -> Known:
        return Known(task.account, task.holding, self._lives, self._watch.down(), task.stopped)

    def _conclude(self, task: Task, step: rehome.Step) -> None:
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

    def _end(self, task: Task, ending: Ending) -> None:
        self._endings.setdefault(task.job.id, ending)

    def _lap(self, tasks: Iterable[Task], step: str) -> None:
        """Note how long the part that just ended took."""
        now_s = self._clock.monotonic()
        for task in tasks:
            task.steps[step] = int((now_s - self._mark_s) * 1000)
        self._mark_s = now_s

    async def _adopt(self, found: Sequence[tuple[Task, Adopt]]) -> None:
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

    async def _ready(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that have somewhere to go and can log in there at once. The others serve on where they are."""
        tasks = await self._without_those_that_stay(tasks)
        chosen = await self._choose(tasks) if tasks else {}
        turns: dict[InstanceUrl, int] = {}
        ready: list[Task] = []
        waiting: list[Task] = []
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

    async def _without_those_that_stay(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Those whose instances were to be emptied, and are not any more."""
        if not any(task.wish.cause is Cause.DRAIN for task in tasks):
            return tasks
        instances = await self._directory.instances()
        active = {instance.url for instance in instances if instance.state is InstanceState.ACTIVE}
        staying = [task for task in tasks if task.wish.cause is Cause.DRAIN and task.wish.from_url in active]
        for task in staying:
            self._end(task, Done(f"it stays: {task.wish.from_url} is not being emptied any more"))
        return [task for task in tasks if task not in staying]

    def _queue(self, waiting: Sequence[Task], *, targets: int, why: str) -> None:
        """Each is tried again soon, or when its turn may come if that is far: many who ask all the time cost much."""
        per_s = max(1, targets) * self._policy.logins_per_instance
        for place, task in enumerate(waiting, start=1):
            far_s = place / per_s
            self._end(task, Retry(far_s if far_s > _FAR_S else self._policy.again_after_s, why))

    async def _vacate(self, tasks: Sequence[Task]) -> list[Task]:
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

    async def _stop(self, task: Task) -> None:
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

    async def _give(self, wanted: Sequence[tuple[Task, Give]]) -> list[Task]:
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

    async def _choose(self, tasks: Sequence[Task]) -> Mapping[SessionId, Chosen | NoRoom]:
        """A place for each: where somebody wants it, or anywhere that is fit, the urgent ones first."""
        placed = [Load(load.instance, load.sessions) for load in await self._directory.loads()]
        loads = self._watch.loads_now(placed)
        unfit = {load.instance.url: "holds no lease" for load in loads if load.instance.url not in self._lives}
        unfit |= self._watch.unfit()
        logins = {load.instance.url: self._turns.left(load.instance.url) for load in loads}
        wanted = [_wanted(task, self._known(task)) for task in sorted(tasks, key=lambda task: task.job.priority)]
        return placement.choose_all(wanted, loads, unfit=unfit, logins=logins)

    def _granting(self, task: Task, give: Give, where: Chosen) -> Granting:
        url = where.instance.url
        life = self._lives.get(url)
        reason = f"{task.wish.reason}; {where.reason}"
        return Granting(give.placement, url, life.id if life else None, give.fence, task.wish.move, reason)

    def _entered(
        self, tasks: Sequence[Task], granted: Sequence[Granted], chosen: Mapping[SessionId, Chosen | NoRoom]
    ) -> list[Task]:
        """Who was granted; the others wait for room, for a login to be free, or find the record changed."""
        moving = {each.granting.session_id: each for each in granted}
        waiting: list[Task] = []
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

    def _put_off(self, tasks: Iterable[Task], why: str) -> None:
        for task in tasks:
            self._end(task, Retry(1.0, why))

    # --- starting -----------------------------------------------------------------------------------------------

    async def _start(self, tasks: Sequence[Task]) -> None:
        by_target: dict[InstanceUrl, list[Task]] = defaultdict(list)
        for task in tasks:
            assert task.placement is not None
            assert task.placement.instance_url is not None
            by_target[task.placement.instance_url].append(task)
        await asyncio.gather(*(self._start_on(url, group) for url, group in by_target.items()))

    async def _start_on(self, url: InstanceUrl, tasks: Sequence[Task]) -> None:
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

    async def _arrived(self, url: InstanceUrl, answers: Sequence[tuple[Task, ListedSession | Fault | None]]) -> None:
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

    async def _not_up(self, url: InstanceUrl, task: Task, row: ListedSession | Fault | None) -> None:
        if isinstance(row, ListedSession) and row.status in _UNLINKED:
            await self._directory.set_status(task.wish.session_id, SessionStatus.LOGGED_OUT)
            await self._grants.stay([task.placement] if task.placement else [])
            self._end(task, Dead(f"{url} opened it, and WhatsApp does not know it any more: it needs pairing"))
            return
        why = f"{url} says {row.status.value}" if isinstance(row, ListedSession) else f"{url} could not open it: {row}"
        self._end(task, Retry(self._policy.again_after_s, why))

    def _arrival(self, task: Task) -> Arrival:
        assert task.placement is not None
        age_ms = task.steps["waited"] + sum(ms for step, ms in task.steps.items() if step != "waited")
        return Arrival(task.placement, task.steps, age_ms)

    def _count(self, arrived: Iterable[Task]) -> None:
        tasks = list(arrived)
        for kind, count in Counter(task.wish.move for task in tasks).items():
            self._meters.moved(kind, count)
        for task in tasks:
            self._meters.arrived(task.wish.move, sum(task.steps.values()) / 1000)


def _wanted(task: Task, known: Known) -> Wanted:
    assert task.account is not None
    wish, leaves = task.wish, rehome.leaves(task.wish, known)
    return Wanted(wish.session_id, task.account.requires, wish.from_url, to_url=wish.to_url, leaves=leaves)


def _start_of(account: Account, placement: Placement) -> SessionStart:
    return SessionStart(account.session_id, account.workspace_id, account.id, placement.epoch)


def _log_granted(granted: Granted, task: Task) -> None:
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

"""Sessions on their way to other instances, in one attempt: what is known of them, and how it ended for each."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from homing.decide.fleet.capacity import Load
from homing.decide.moves import next_step as rehome
from homing.decide.moves.next_step import MoveFacts, MoveRequest
from homing.decide.starting.restoring import RestoringPolicy
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.incarnations import Looking
from homing.flows.moves.login_rate import Turns
from homing.flows.moves.milestones import Milestone
from homing.model.fleet import Account, InstanceUrl, Placement, SessionId
from homing.model.instances.leases import Incarnation
from homing.model.instances.vault import SessionHolding
from homing.model.sends.faults import Phase
from homing.model.work import Ending, Job, JobId, Retry
from homing.ports import Clock, Directory, Fleet, Grants, Leases, Meters, SessionStart

_FAR_S = 2.0
_BLOCKED_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class RehomePolicy:
    """Times in seconds, rates in logins per second."""

    logins_per_instance: float = 20.0
    logins_fleet: float = 500.0
    start_timeout_s: float = 8.0
    stop_timeout_s: float = 5.0
    leave_together: int = 8
    again_after_s: float = 0.2
    no_room_after_s: float = 2.0
    opens_fleet: float = 5.0
    """How many sessions of gateways that hold no lease may be opened, per second: each is a browser."""
    open_timeout_s: float = 20.0
    look_timeout_s: float = 5.0
    restoring: RestoringPolicy = field(default_factory=RestoringPolicy)


class InstanceWatch(Protocol):
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

    def refused_ago_s(self, url: InstanceUrl) -> float | None:
        """How long ago the instance last refused a connection; None if it never did."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What attempts work with. All of a gateway share the `turns`; `reached` hears how far one is."""

    directory: Directory
    grants: Grants
    leases: Leases
    fleet: Fleet
    watch: InstanceWatch
    clock: Clock
    meters: Meters
    policy: RehomePolicy
    turns: Turns
    reached: Callable[[Milestone], None]
    alerts: AlertBook
    looking: Looking
    braked: Callable[[], str | None]
    """Why nothing is started because so much of the fleet seems gone; None while that is not so."""


@dataclass(slots=True)
class Task:
    """One session on its way, in our hands."""

    job: Job
    wish: MoveRequest
    steps: dict[str, int]
    placement: Placement | None = None
    account: Account | None = None
    holding: SessionHolding | None = None
    stopped: bool = False

    @property
    def session_id(self) -> SessionId:
        return self.wish.session_id

    def as_start(self) -> SessionStart:
        """What an instance has to know to open it, or to stop it."""
        assert self.account is not None
        assert self.placement is not None
        return SessionStart(self.session_id, self.account.workspace_id, self.account.id, self.placement.epoch)


class Underway:
    """The tasks of one attempt. `lives` are the boots that hold a lease, `leased` the addresses that ever had one;
    whatever ended first for a task, stays."""

    def __init__(self, means: Means, tasks: Sequence[Task], run_id: str) -> None:
        self.means, self.tasks, self.run_id = means, tasks, run_id
        self.lives: Mapping[InstanceUrl, Incarnation] = {}
        self.leased: Collection[InstanceUrl] = ()
        self.exited: Collection[InstanceUrl] = ()
        self.endings: dict[JobId, Ending] = {}
        self._mark_s = means.clock.monotonic()

    async def read(self) -> None:
        """The record, the vault and the leases, as they are now. Raises StoreUnavailable."""
        means = self.means
        sessions = [task.session_id for task in self.tasks]
        accounts = {account.session_id: account for account in await means.directory.accounts_of(sessions)}
        holdings = await means.grants.fenced(sessions)
        boots = await means.leases.incarnations()
        self.leased = {each.instance_url for each in boots}
        self.lives = {each.instance_url: each for each in boots if each.holds_lease}
        instances = await means.directory.instances() if len(holdings) < len(sessions) else []
        self.exited = {each.url for each in instances if each.exited_at is not None}
        for task in self.tasks:
            task.account = accounts.get(task.session_id)
            task.holding = holdings.get(task.session_id)
            task.placement = task.account.placement if task.account is not None else None
        means.reached(Milestone.READ)

    def known(self, task: Task) -> MoveFacts:
        return MoveFacts(task.account, task.holding, self.lives, self.means.watch.down(), self.exited, task.stopped)

    def is_unleased(self, task: Task) -> bool:
        """Whether its gateway holds no lease and opens no vault: a second start there would not be refused."""
        at = task.placement.instance_url if task.placement is not None else None
        return task.holding is None and at is not None and at not in self.leased

    def next_step(self, task: Task) -> rehome.Step:
        return rehome.next_step(task.wish, self.known(task))

    # --- endings ------------------------------------------------------------------------------------------------

    def end(self, task: Task, ending: Ending) -> None:
        self.endings.setdefault(task.job.id, ending)

    def is_over(self, task: Task) -> bool:
        return task.job.id in self.endings

    def again(self, task: Task, why: str) -> None:
        """Soon, and not now."""
        self.end(task, Retry(self.means.policy.again_after_s, why))

    def put_off_if_blocked(self, tasks: Collection[Task]) -> bool:
        """Put all of them off if nothing may be granted at the moment; answers whether that is so."""
        why = self.means.watch.may_grant()
        if why is not None:
            for task in tasks:
                self.end(task, Retry(_BLOCKED_AGAIN_S, why))
        return why is not None

    def queue(self, waiting: Sequence[Task], *, targets: int, why: str) -> None:
        """Each is tried again soon, or when its turn may come if that is far: many who ask all the time cost much."""
        policy = self.means.policy
        per_s = max(1, targets) * policy.logins_per_instance
        for place, task in enumerate(waiting, start=1):
            far_s = place / per_s
            self.end(task, Retry(far_s if far_s > _FAR_S else policy.again_after_s, why))

    def lap(self, tasks: Iterable[Task], step: str) -> None:
        """Note how long the part that just ended took."""
        now_s = self.means.clock.monotonic()
        for task in tasks:
            task.steps[step] = int((now_s - self._mark_s) * 1000)
        self._mark_s = now_s

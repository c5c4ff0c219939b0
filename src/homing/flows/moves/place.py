"""A place for each session, and the grant that makes it the session's own: fenced, under the next epoch."""

from collections.abc import Mapping, Sequence

import structlog

from homing.decide.fleet import placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.placement import Chosen, NoRoom, PlacementRequest
from homing.decide.moves import next_step
from homing.decide.moves.next_step import Give
from homing.flows.moves import start_rates
from homing.flows.moves.batch import Task, Underway
from homing.flows.moves.milestones import Milestone
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import SessionId
from homing.model.instances.vault import Granted, Granting
from homing.model.work import Retry

log = structlog.get_logger("homing")


async def choose(underway: Underway, tasks: Sequence[Task]) -> Mapping[SessionId, Chosen | NoRoom]:
    """A place for each: where somebody wants it, or anywhere that is fit, the urgent ones first."""
    means, lives = underway.means, underway.lives
    placed = [Load(load.instance, load.sessions) for load in await means.directory.loads()]
    loads = means.watch.loads_now(placed)
    unfit = {load.instance.url: "holds no lease" for load in loads if load.instance.url not in lives}
    unfit |= means.watch.unfit()
    logins = {load.instance.url: means.turns.left(load.instance.url) for load in loads}
    wanted = [_wanted(underway, task) for task in sorted(tasks, key=lambda task: task.job.priority)]
    return placement.choose_all(wanted, loads, unfit=unfit, logins=logins)


async def give(underway: Underway, wanted: Sequence[tuple[Task, Give]]) -> list[Task]:
    """Grant each session to the place that is chosen for it, all in one statement; answers whose grant was given."""
    tasks = [task for task, _ in wanted]
    if not tasks or underway.put_off_if_blocked(tasks):
        return []
    means = underway.means
    chosen = await choose(underway, tasks)
    means.reached(Milestone.CHOSEN)
    underway.lap(tasks, "choose")
    grantings = [
        _granting(underway, task, step, where)
        for task, step in wanted
        if isinstance(where := chosen[task.session_id], Chosen)
    ]
    granted = await means.grants.grant(
        grantings,
        fleet_logins_per_s=means.policy.logins_fleet,
        instance_logins_per_s=means.policy.logins_per_instance,
        run_id=underway.run_id,
        starts_per_min=start_rates.rates(means.fleet, {each.to_url for each in grantings}),
    )
    means.reached(Milestone.GRANTED)
    return _entered(underway, tasks, granted, chosen)


def _wanted(underway: Underway, task: Task) -> PlacementRequest:
    assert task.account is not None
    wish, leaves = task.wish, next_step.leaves(task.wish, underway.known(task))
    return PlacementRequest(wish.session_id, task.account.requires, wish.from_url, to_url=wish.to_url, leaves=leaves)


def _granting(underway: Underway, task: Task, step: Give, where: Chosen) -> Granting:
    url = where.instance.url
    life = underway.lives.get(url)
    reason = f"{task.wish.reason}; {where.reason}"
    return Granting(
        step.placement, url, life.id if life else None, step.fence, task.wish.move, reason, task.wish.trace_id
    )


def _entered(
    underway: Underway,
    tasks: Sequence[Task],
    granted: Sequence[Granted],
    chosen: Mapping[SessionId, Chosen | NoRoom],
) -> list[Task]:
    """Who was granted; the others wait for room, for a login to be free, or find the record changed."""
    means, moving = underway.means, {each.granting.session_id: each for each in granted}
    waiting: list[Task] = []
    underway.lap(tasks, "grant")
    for task in tasks:
        where, each = chosen[task.session_id], moving.get(task.session_id)
        if isinstance(where, Chosen):
            means.turns.used(where.instance.url, granted=each is not None)
        if each is not None:
            task.placement = each.placement
            means.alerts.resolved(AlertKind.NO_CAPACITY, Subject.session(task.session_id))
            _log_granted(each, task)
        elif isinstance(where, NoRoom):
            means.alerts.raised(AlertKind.NO_CAPACITY, Subject.session(task.session_id), where.reason)
            underway.end(task, Retry(means.policy.no_room_after_s, next_step.NO_ROOM + where.reason))
        else:
            waiting.append(task)
    targets = {where.instance.url for where in chosen.values() if isinstance(where, Chosen)}
    why = "its turn to log in has not come, its place was taken, or its record changed"
    underway.queue(waiting, targets=len(targets), why=why)
    return [task for task in tasks if task.session_id in moving]


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

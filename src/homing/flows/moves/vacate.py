"""Letting a session's holder stop, once it is known where the session will be: nobody waits longer than it must."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from homing.decide.fleet.placement import Chosen, NoRoom
from homing.decide.moves import next_step
from homing.decide.moves.next_step import MoveCause
from homing.flows.moves import place, start_rates
from homing.flows.moves.batch import Task, Underway
from homing.flows.moves.milestones import Milestone
from homing.model.fleet import InstanceState, InstanceUrl
from homing.model.sends.faults import Phase
from homing.model.work import Dead, Done, Retry


async def ready(underway: Underway, tasks: Sequence[Task]) -> list[Task]:
    """Those that have somewhere to go and can log in there at once. The others serve on where they are."""
    tasks = await _without_those_that_stay(underway, tasks)
    chosen = await place.choose(underway, tasks) if tasks else {}
    means = underway.means
    turns: dict[InstanceUrl, int] = {}
    places = {where.instance.url for where in chosen.values() if isinstance(where, Chosen)}
    left = await start_rates.turns_left(means, places)
    going: list[Task] = []
    waiting: list[Task] = []
    for task in sorted(tasks, key=lambda task: (task.job.priority, task.job.id)):
        where = chosen[task.session_id]
        if isinstance(where, NoRoom):
            underway.end(task, Retry(means.policy.no_room_after_s, next_step.NO_ROOM + where.reason))
            continue
        url = where.instance.url
        turns.setdefault(url, min(means.turns.left(url), left.get(url, len(tasks))))
        turns[url] -= 1
        (going if turns[url] >= 0 else waiting).append(task)
    underway.queue(waiting, targets=len(turns), why="its turn to leave has not come")
    return going


async def _without_those_that_stay(underway: Underway, tasks: Sequence[Task]) -> Sequence[Task]:
    """Those whose instances were to be emptied, and are not any more."""
    if not any(task.wish.cause is MoveCause.DRAIN for task in tasks):
        return tasks
    instances = await underway.means.directory.instances()
    active = {instance.url for instance in instances if instance.state is InstanceState.ACTIVE}
    staying = [task for task in tasks if task.wish.cause is MoveCause.DRAIN and task.wish.from_url in active]
    for task in staying:
        underway.end(task, Done(f"it stays: {task.wish.from_url} is not being emptied any more"))
    return [task for task in tasks if task not in staying]


async def vacate(underway: Underway, tasks: Sequence[Task]) -> list[Task]:
    """New messages wait from here on; those under way come to their end; then the holder lets go.

    Answers those that nobody holds now.
    """
    if not tasks or underway.put_off_if_blocked(tasks):
        return []
    means = underway.means
    left = await means.grants.leave([task.placement for task in tasks if task.placement is not None])
    now_moving = {placement.session_id: placement for placement in left}
    ours = [task for task in tasks if task.session_id in now_moving]
    for task in ours:
        assert task.account is not None
        task.placement = now_moving[task.session_id]
        task.account = replace(task.account, placement=task.placement)
    means.reached(Milestone.LEFT)
    await asyncio.gather(*(_stop(underway, task) for task in ours))
    means.reached(Milestone.STOPPED)
    underway.lap(ours, "stop")
    return [task for task in ours if not underway.is_over(task)]


async def _stop(underway: Underway, task: Task) -> None:
    means = underway.means
    assert task.placement is not None
    url = task.placement.instance_url
    assert url is not None
    fault = await means.fleet.driver(url).stop(url, task.as_start(), timeout_s=means.policy.stop_timeout_s)
    means.watch.saw(url, fault.phase if fault is not None else None)
    if fault is None or fault.phase in (Phase.SESSION_NOT_FOUND, Phase.EPOCH_STALE) or task.holding is not None:
        # The vault stops even a holder that did not answer.
        task.stopped = True
        return
    await means.grants.stay([task.placement])
    underway.end(task, Dead(f"{url} did not stop it ({fault}); it stays there"))

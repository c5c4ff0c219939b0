"""One attempt at bringing some sessions elsewhere, together: one reading, one grant statement, one call to each target.

What the next step is follows from the directory, the vault and the wish alone.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

import structlog

from homing.decide.moves import next_step
from homing.decide.moves.next_step import Adopt, Give, MarkMoving, NotMoved, Over, StartOnTarget, Stop
from homing.flows.discovery.corrections import correct
from homing.flows.moves import opening, place, start, vacate
from homing.flows.moves.batch import Means, Task, Underway
from homing.model.fleet import InstanceMode, MoveKind, Rebinding
from homing.model.work import Dead, Done, Ending, JobId

log = structlog.get_logger("homing")


async def attempt(means: Means, tasks: Sequence[Task], run_id: str) -> Mapping[JobId, Ending]:
    """How it ended for each. Raises StoreUnavailable: what was done is done, and the next attempt finds it so."""
    underway = Underway(means, tasks, run_id)
    await underway.read()
    tasks = _but_observed(underway, tasks)
    steps = [(task, underway.next_step(task)) for task in tasks]
    ready = await vacate.ready(underway, [task for task, step in steps if isinstance(step, MarkMoving)])
    vacated = await vacate.vacate(underway, [*ready, *(task for task, step in steps if isinstance(step, Stop))])
    steps = [(task, step) for task, step in steps if not isinstance(step, MarkMoving | Stop)]
    steps += [(task, underway.next_step(task)) for task in vacated]
    await _adopt(underway, [(task, step) for task, step in steps if isinstance(step, Adopt)])
    unleased = [(task, step) for task, step in steps if underway.is_unleased(task)]
    leased = [(task, step) for task, step in steps if not underway.is_unleased(task)]
    given = await place.give(underway, [(task, step) for task, step in leased if isinstance(step, Give)])
    begun = [task for task, step in leased if isinstance(step, StartOnTarget)]
    await start.start(underway, [*begun, *given])
    await opening.open_unleased(
        underway, [(task, step) for task, step in unleased if isinstance(step, Give | StartOnTarget)]
    )
    for task, step in steps:
        _conclude(underway, task, step)
    return underway.endings


def _but_observed(underway: Underway, tasks: Sequence[Task]) -> list[Task]:
    """Those that may be moved. Of an instance that is only observed nothing is taken away, whoever asked for it."""
    left: list[Task] = []
    roster = underway.means.fleet.roster
    for task in tasks:
        url = task.placement.instance_url if task.placement is not None else None
        known = roster.instances.get(url) if url is not None else None
        if known is not None and known.mode is InstanceMode.OBSERVE:
            underway.end(task, Dead(f"{url} is only observed: nothing is moved away from it"))
        else:
            left.append(task)
    return left


async def _adopt(underway: Underway, found: Sequence[tuple[Task, Adopt]]) -> None:
    """Let the record follow the vault."""
    if not found:
        return
    changes = [Rebinding(step.placement, step.url, step.epoch, MoveKind.REDISCOVERY, step.reason) for _, step in found]
    means = underway.means
    adopted = await correct(means.directory, means.meters, changes, run_id=underway.run_id)
    for task, step in found:
        if task.session_id in adopted:
            underway.end(task, Done(step.reason))


def _conclude(underway: Underway, task: Task, step: next_step.Step) -> None:
    """The endings of those for which nothing was to be done."""
    match step:
        case Over(reason=reason):
            underway.end(task, Done(reason))
        case NotMoved(reason=reason):
            log.warning("Session not moved", session_id=task.session_id, reason=reason, cause=task.wish.cause)
            underway.end(task, Dead(reason))
        case Adopt() | MarkMoving() | Stop() | Give() | StartOnTarget():
            underway.again(task, "it is not there yet")
        case _:
            assert_never(step)

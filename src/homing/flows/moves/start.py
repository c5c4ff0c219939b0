"""Opening sessions where they were granted to, and confirming those that can send there: one call to each target."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence

from homing.decide.starting import linking
from homing.flows.moves.batch import Task, Underway
from homing.flows.moves.milestones import Milestone
from homing.model.fleet import InstanceUrl, ListedSession, SessionStatus
from homing.model.instances.vault import Arrival
from homing.model.sends.faults import Fault
from homing.model.work import Dead, Done


async def start(underway: Underway, tasks: Sequence[Task]) -> None:
    """Have every task's session opened where it is placed. Each that can send there has ended well."""
    by_target: dict[InstanceUrl, list[Task]] = defaultdict(list)
    for task in tasks:
        assert task.placement is not None
        assert task.placement.instance_url is not None
        by_target[task.placement.instance_url].append(task)
    await asyncio.gather(*(_start_on(underway, url, group) for url, group in by_target.items()))


async def _start_on(underway: Underway, url: InstanceUrl, tasks: Sequence[Task]) -> None:
    means = underway.means
    starts = [task.as_start() for task in tasks]
    mark_s = means.clock.monotonic()
    answer = await means.fleet.driver(url).start_many(url, starts, timeout_s=means.policy.start_timeout_s)
    means.watch.saw(url, answer.phase if isinstance(answer, Fault) else None)
    means.reached(Milestone.STARTED)
    if isinstance(answer, Fault):
        for task in tasks:
            underway.again(task, f"{url} could not be told to start it: {answer}")
        return
    took_ms = int((means.clock.monotonic() - mark_s) * 1000)
    for task in tasks:
        task.steps["start"] = took_ms
    await _arrived(underway, url, [(task, answer.get(task.session_id)) for task in tasks])


async def _arrived(
    underway: Underway, url: InstanceUrl, answers: Sequence[tuple[Task, ListedSession | Fault | None]]
) -> None:
    up = [task for task, row in answers if isinstance(row, ListedSession) and row.can_send]
    arrived = await underway.means.grants.arrive([_arrival(task) for task in up])
    underway.means.reached(Milestone.ARRIVED)
    held = {arrival.placement.session_id: arrival.placement for arrival in arrived}
    _count(underway, [task for task in up if task.session_id in held])
    for task, row in answers:
        at = held.get(task.session_id)
        if at is not None:
            underway.end(task, Done(f"it can send on {url} under epoch {at.epoch}"))
        else:
            await _not_up(underway, url, task, row)


async def _not_up(underway: Underway, url: InstanceUrl, task: Task, row: ListedSession | Fault | None) -> None:
    means = underway.means
    if isinstance(row, ListedSession) and await _is_unlinked(underway, task, row):
        await means.directory.set_status(task.session_id, SessionStatus.LOGGED_OUT)
        await means.grants.stay([task.placement] if task.placement else [])
        underway.end(task, Dead(f"{url} opened it, and WhatsApp does not know it any more: it needs pairing"))
        return
    said = f"says {_said(row)}" if isinstance(row, ListedSession) else f"could not open it: {row}"
    underway.again(task, f"{url} {said}")


def _said(row: ListedSession) -> str:
    """Its status, and the gateway's own reason where it has one, such as that its exit is down."""
    return row.status.value if row.error is None else f"{row.status.value}: {row.error}"


async def _is_unlinked(underway: Underway, task: Task, row: ListedSession) -> bool:
    """Whether it waits for a person, with what was reported since it was told to start."""
    if row.epoch is not None or row.status not in linking.UNLINKED:
        return row.status in linking.UNLINKED
    now = await underway.means.directory.accounts_of([task.session_id])
    return bool(now) and linking.meant(row, now[0].linking) in linking.UNLINKED


def _arrival(task: Task) -> Arrival:
    assert task.placement is not None
    age_ms = task.steps["waited"] + sum(ms for step, ms in task.steps.items() if step != "waited")
    return Arrival(task.placement, task.steps, age_ms)


def _count(underway: Underway, arrived: Sequence[Task]) -> None:
    meters = underway.means.meters
    for kind, count in Counter(task.wish.move for task in arrived).items():
        meters.moved(kind, count)
    for task in arrived:
        meters.arrived(task.wish.move, sum(task.steps.values()) / 1000, task.steps)

"""Opening sessions on instances that hold no lease: only after all that could have them said that they do not.

Such a gateway opens whatever it is told to, also what is open already, there or elsewhere. So the lists of all that
could hold a session are read, then it is granted, which keeps its instance from being handed it, and what it was handed
until then is read once more; the driver reads the target's list again just before it tells it to open the session.
A start without an answer is not repeated before the list shows that it came to nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import structlog

from homing.decide.fleet import placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.placement import Chosen, NoRoom, PlacementRequest
from homing.decide.moves import movable, next_step
from homing.decide.moves.next_step import Give, StartOnTarget
from homing.decide.starting import restoring, start_rate
from homing.decide.starting.restoring import Blocked, LeaveAlone, Present, Verdict, Wait
from homing.flows.moves import start_rates
from homing.flows.moves.batch import Task, Underway
from homing.flows.moves.milestones import Milestone
from homing.model.fleet import Instance, InstanceLoad, InstanceMode, InstanceUrl, ListedSession, Placement, SessionId
from homing.model.instances.leases import Fence
from homing.model.instances.restoring import Looks, Recorded
from homing.model.instances.vault import Arrival, Granting
from homing.model.sends.faults import Fault, Phase
from homing.model.work import Dead, Done, Retry

log = structlog.get_logger("homing")

_AGAIN_S = 2.0
_LOOK_AGAIN_S = 5.0
_NEVER_LEFT = frozenset({
    Phase.NOT_ATTEMPTED, Phase.REFUSED, Phase.CONNECT_TIMED_OUT, Phase.CONNECT_BROKEN, Phase.NAME_NOT_RESOLVED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a session is to be opened, and why there. `fence` is None if it was granted to it before."""

    instance: Instance
    fence: Fence | None
    reason: str


async def open_unleased(underway: Underway, steps: Sequence[tuple[Task, Give | StartOnTarget]]) -> None:
    """Have each opened at its target, or say why not. Raises StoreUnavailable."""
    if not steps:
        return
    loads = {load.instance.url: load for load in await underway.means.directory.loads()}
    targets = _targets(underway, steps, loads)
    asked = [task for task, _ in steps if task.session_id in targets]
    if not asked:
        return
    groups = {
        target.instance.url: restoring.could_hold(
            target.instance, [load.instance for load in loads.values()], underway.leased
        )
        for target in targets.values()
    }
    # The lists first, the records after them: what was opened in between is in the records.
    looks = await underway.means.looking.look([url for group in groups.values() for url in group])
    records = await _records(underway, asked, targets)
    by_task = [(task, targets[task.session_id]) for task in asked]
    fit = [
        (task, target)
        for task, target in by_task
        if await _may_go_on(underway, task, target, _of(looks, groups[target.instance.url]), records)
    ]
    granted = await _granted(underway, fit)
    await _opened(underway, granted, looks, groups)


# --- where, and whether -----------------------------------------------------------------------------------------


def _targets(
    underway: Underway, steps: Sequence[tuple[Task, Give | StartOnTarget]], loads: Mapping[InstanceUrl, InstanceLoad]
) -> dict[SessionId, _Target]:
    targets: dict[SessionId, _Target] = {}
    for task, step in steps:
        target = _target(underway, task, step, loads)
        if isinstance(target, NoRoom):
            underway.end(task, Retry(underway.means.policy.no_room_after_s, next_step.NO_ROOM + target.reason))
        elif target is not None:
            targets[task.session_id] = target
    return targets


def _target(
    underway: Underway, task: Task, step: Give | StartOnTarget, loads: Mapping[InstanceUrl, InstanceLoad]
) -> _Target | NoRoom | None:
    url = step.placement.instance_url
    assert url is not None
    home = loads.get(url)
    if home is None:
        underway.end(task, Dead(f"{url} is no instance that we know"))
        return None
    if isinstance(step, StartOnTarget):
        return _Target(home.instance, None, f"it was granted to {url}")
    if step.fence is Fence.ABSENT:
        if (why := underway.means.braked()) is not None:
            underway.end(task, Retry(_AGAIN_S, f"nothing is started for the moment: {why}"))
            return None
        return _Target(home.instance, step.fence, task.wish.reason)
    return _sharing(underway, task, step, home.instance, loads)


def _sharing(
    underway: Underway, task: Task, step: Give, home: Instance, loads: Mapping[InstanceUrl, InstanceLoad]
) -> _Target | NoRoom | None:
    """Another instance that can read its login: one of its family on the same storage, and never any other."""
    assert task.account is not None
    fleet = underway.means.fleet
    reason = movable.cannot_share(fleet.traits(home.url), home.storage, fleet.driver(home.url).base)
    if reason is not None:
        underway.end(task, Dead(f"{home.url}: {reason}"))
        return None
    sharing = [
        Load(load.instance, load.sessions)
        for url, load in loads.items()
        if load.instance.storage == home.storage
        and load.instance.driver == home.driver
        and url != home.url
        and load.instance.mode is InstanceMode.ROUTE
    ]
    if not sharing:
        return NoRoom(f"no other instance of its family has the storage {home.storage!r} of {home.url}")
    unfit = dict.fromkeys(underway.leased, "keeps its logins in the vault") | underway.means.watch.unfit()
    unfit |= dict.fromkeys(underway.exited, "was said to have exited")
    wanted = PlacementRequest(task.session_id, task.account.requires, to_url=task.wish.to_url)
    where = placement.choose_all([wanted], underway.means.watch.loads_now(sharing), unfit=unfit)[task.session_id]
    match where:
        case Chosen(instance=instance, reason=reason):
            return _Target(instance, step.fence, f"{task.wish.reason}; {reason}")
        case NoRoom():
            return where


async def _records(
    underway: Underway, tasks: Sequence[Task], targets: Mapping[SessionId, _Target]
) -> Mapping[SessionId, Recorded]:
    """What is recorded of these, and of all that is placed where they are to be opened."""
    there = {targets[task.session_id].instance.url for task in tasks}
    found = await underway.means.directory.recorded(instances=there, sessions=[task.session_id for task in tasks])
    return {each.session_id: each for each in found}


async def _may_go_on(
    underway: Underway, task: Task, target: _Target, looks: Looks, records: Mapping[SessionId, Recorded]
) -> bool:
    """Whether it may be granted now; ends it if not."""
    record = records.get(task.session_id)
    if record is None:
        underway.end(task, Done("its account does not exist any more"))
        return False
    policy, url = underway.means.policy.restoring, target.instance.url
    if target.fence is Fence.ABSENT:
        there = [each for each in records.values() if each.placement.instance_url == url]
        return _is_missing(underway, task, restoring.judge(record, target.instance, looks, there, policy))
    verdict = restoring.may_open(record, url, looks, policy, first=target.fence is not None)
    match verdict:
        case Present(reason=reason) if target.fence is None:
            await _stays(underway, task, Done(reason))
        case Present() | restoring.StartAgain():
            return True
        case Wait(after_s=after_s, reason=reason):
            underway.end(task, Retry(min(max(after_s, _AGAIN_S), _LOOK_AGAIN_S), reason))
        case LeaveAlone(reason=reason) | Blocked(reason=reason) | restoring.Vanished(reason=reason):
            underway.end(task, Retry(_AGAIN_S, reason))
    return False


def _is_missing(underway: Underway, task: Task, verdict: Verdict) -> bool:
    """Of one that is where it was: whether it is still to be started; if not, whoever looks next judges it anew."""
    match verdict:
        case restoring.StartAgain():
            return True
        case Present(reason=reason):
            underway.end(task, Done(reason))
        case (
            LeaveAlone(reason=reason) | Wait(reason=reason) | Blocked(reason=reason) | restoring.Vanished(reason=reason)
        ):
            underway.end(task, Dead(f"not started: {reason}"))
    return False


# --- the grant --------------------------------------------------------------------------------------------------


async def _granted(underway: Underway, fit: Sequence[tuple[Task, _Target]]) -> list[tuple[Task, _Target]]:
    """Those that are granted to their targets now. One that was granted before is granted anew: it is told again."""
    if not fit or underway.put_off_if_blocked([task for task, _ in fit]):
        return []
    means = underway.means
    grantings = [_granting(task, target) for task, target in fit]
    rated = start_rates.rates(means.fleet, {each.to_url for each in grantings})
    granted = await means.grants.grant(
        grantings,
        fleet_logins_per_s=means.policy.opens_fleet,
        instance_logins_per_s=means.policy.restoring.starts_at_once,
        run_id=underway.run_id,
        starts_per_min=rated,
    )
    means.reached(Milestone.GRANTED)
    places = {each.granting.session_id: each.placement for each in granted}
    _queued(underway, [(task, target) for task, target in fit if task.session_id not in places], rated)
    given = [(task, target) for task, target in fit if task.session_id in places]
    for task, target in given:
        task.placement = places[task.session_id]
        log.warning(
            "Session is opened again",
            session_id=task.session_id,
            url=target.instance.url,
            epoch=task.placement.epoch,
            reason=target.reason,
        )
    return given


def _queued(underway: Underway, waiting: Sequence[tuple[Task, _Target]], rated: Mapping[InstanceUrl, int]) -> None:
    """Each is tried again when its turn may come. Those whose turns come in the same second come together: each attempt
    reads lists."""
    before: Counter[InstanceUrl] = Counter()
    for place, (task, target) in enumerate(waiting, start=1):
        url = target.instance.url
        before[url] += 1
        far_s = place / underway.means.policy.opens_fleet
        why = "its turn to be opened has not come, or its record changed"
        if (per_min := rated.get(url)) is not None:
            far_s, why = max(far_s, before[url] * start_rate.WINDOW_S / per_min), start_rate.waits(url, per_min)
        underway.end(task, Retry(float(ceil(far_s)), why))


def _granting(task: Task, target: _Target) -> Granting:
    assert task.placement is not None
    fence, reason = target.fence or Fence.ABSENT, target.reason
    return Granting(task.placement, target.instance.url, None, fence, task.wish.move, reason, task.wish.trace_id)


# --- the start --------------------------------------------------------------------------------------------------


async def _opened(
    underway: Underway,
    granted: Sequence[tuple[Task, _Target]],
    looks: Looks,
    groups: Mapping[InstanceUrl, Collection[InstanceUrl]],
) -> None:
    """Tell each target to open what it was granted, unless it was handed it just before the grant."""
    if not granted:
        return
    means, policy = underway.means, underway.means.policy.restoring
    found = await means.directory.recorded(sessions=[task.session_id for task, _ in granted])
    records = {each.session_id: each for each in found}
    told: list[tuple[Task, _Target]] = []
    for task, target in granted:
        url, record = target.instance.url, records.get(task.session_id)
        verdict = (
            None if record is None else restoring.may_open(record, url, _of(looks, groups[url]), policy, first=True)
        )
        if isinstance(verdict, Present | restoring.StartAgain):
            told.append((task, target))
        else:
            await _stays(underway, task, Dead("its account is gone" if verdict is None else verdict.reason))
    answers = await asyncio.gather(*(_start(underway, task, target.instance.url) for task, target in told))
    means.reached(Milestone.STARTED)
    for (task, target), answer in zip(told, answers, strict=True):
        await _concluded(underway, task, target.instance.url, answer)


async def _start(underway: Underway, task: Task, url: InstanceUrl) -> ListedSession | Fault:
    means = underway.means
    answer = await means.fleet.driver(url).start(url, task.as_start(), timeout_s=means.policy.open_timeout_s)
    means.watch.saw(url, answer.phase if isinstance(answer, Fault) else None)
    return answer


async def _concluded(underway: Underway, task: Task, url: InstanceUrl, answer: ListedSession | Fault) -> None:
    if isinstance(answer, ListedSession):
        await _has_it(underway, task, url, answer)
    elif answer.phase in _NEVER_LEFT:
        await _stays(underway, task, Dead(f"{url} could not be told to open it: {answer}"))
    else:
        await _look_again(underway, task, url, answer)


async def _look_again(underway: Underway, task: Task, url: InstanceUrl, fault: Fault) -> None:
    """What became of a start that failed, or whose answer did not come, is in the list."""
    [look] = (await underway.means.looking.look([url])).values()
    verdict = restoring.after_failure(task.session_id, look, fault)
    match verdict:
        case Present(reason=reason):
            await _stays(underway, task, Done(reason))
        case Wait(after_s=after_s, reason=reason):
            underway.end(task, Retry(after_s, reason))
        case _:
            await _stays(underway, task, Dead(verdict.reason))


async def _has_it(underway: Underway, task: Task, url: InstanceUrl, row: ListedSession) -> None:
    """It is open there. Whether it can send yet is seen by its reports, and by the next look."""
    means = underway.means
    means.meters.moved(task.wish.move)
    if row.can_send and task.placement is not None:
        arrived = await means.grants.arrive([Arrival(task.placement, task.steps, _age_ms(underway, task))])
        if arrived:
            underway.end(task, Done(f"it can send on {url}"))
            return
    await _stays(underway, task, Done(f"{url} opened it, and says {row.status.value}"))


def _age_ms(underway: Underway, task: Task) -> int:
    return max(0, int((underway.means.clock.now() - task.job.created_at).total_seconds() * 1000))


async def _stays(underway: Underway, task: Task, ending: Done | Dead) -> None:
    """It is not on its way any more: where it was granted to is where it is looked for from here on."""
    at: Placement | None = task.placement
    await underway.means.grants.stay([at] if at is not None else [])
    if isinstance(ending, Dead):
        log.warning("Session not opened", session_id=task.session_id, reason=ending.reason, cause=task.wish.cause)
    underway.end(task, ending)


def _of(looks: Looks, urls: Collection[InstanceUrl]) -> Looks:
    return {url: looks[url] for url in urls if url in looks}

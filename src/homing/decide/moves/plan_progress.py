"""How far is each step of a plan of moves, and which ones are next?

Nothing but the begun ones is remembered of a plan that runs: the rest follows from the record and the work table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from homing.decide.moves.next_step import MoveRequest
from homing.model.fleet import Placement, PlacementState
from homing.model.ids import SessionId
from homing.model.instances.steering import MovePlan, PlannedStep, PlanState
from homing.model.work import Job, JobState


class StepState(StrEnum):
    """How far one session is."""

    WAITING = "waiting"
    UNDER_WAY = "under_way"
    MOVED = "moved"
    STUCK = "stuck"
    """Somebody has to do something first."""
    LEFT = "left"
    """It stays where it is, or went its own way."""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a step is, and what is in its way."""

    step: PlannedStep
    state: StepState
    reason: str = ""


def progress(
    plan: MovePlan, placements: Mapping[SessionId, Placement], jobs: Mapping[str, Job]
) -> Sequence[StepProgress]:
    """Each step, in the plan's order. `jobs` are the unfinished and the dead ones."""
    return [_of(plan, step, placements.get(step.session_id), jobs.get(step.session_id)) for step in plan.steps]


def _of(plan: MovePlan, step: PlannedStep, at: Placement | None, job: Job | None) -> StepProgress:
    if at is None:
        return StepProgress(step, StepState.LEFT, "the session is not there any more")
    has_left = at.instance_url != step.from_url
    if has_left and at.state is PlacementState.HELD:
        if step.session_id in plan.begun:
            return StepProgress(step, StepState.MOVED)
        return StepProgress(step, StepState.LEFT, "it went elsewhere by itself")
    if job is not None and job.state is not JobState.DEAD:
        return StepProgress(step, StepState.UNDER_WAY, job.reason)
    if has_left:
        return StepProgress(step, StepState.UNDER_WAY, "it is being opened there")
    if step.session_id in plan.begun:
        if job is not None and MoveRequest.of(job.payload).from_epoch == step.from_epoch:
            return StepProgress(step, StepState.STUCK, job.reason)
        return StepProgress(step, StepState.LEFT, "it stayed where it was")
    if plan.state in (PlanState.STOPPED, PlanState.DONE):
        return StepProgress(step, StepState.LEFT, "the plan was stopped before its turn")
    return StepProgress(step, StepState.WAITING)


def next_steps(plan: MovePlan, found: Sequence[StepProgress]) -> list[PlannedStep]:
    """Whose turn it is: so many as the budget leaves."""
    under_way = sum(each.state is StepState.UNDER_WAY and each.step.session_id in plan.begun for each in found)
    waiting = [each.step for each in found if each.state is StepState.WAITING]
    return waiting[: max(0, plan.budget - under_way)]


def is_over(found: Sequence[StepProgress]) -> bool:
    """Whether nothing of it waits or is under way."""
    return not any(each.state in (StepState.WAITING, StepState.UNDER_WAY) for each in found)

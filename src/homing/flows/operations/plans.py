"""Plans of moves: made as a dry run, looked at, run a few sessions at a time, and stopped if somebody says so.

A plan that runs is looked after by every gateway: whose turn it is follows from the plan, and a session is wished
elsewhere once, however many gateways see that it is its turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from homing.decide.moves import plan_progress
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.decide.moves.plan_progress import StepProgress, StepState
from homing.flows.moves.move_jobs import KIND
from homing.flows.moves.prospects import Prospects
from homing.flows.moves.requests import MoveRequests
from homing.flows.operations.rebalance import Balance
from homing.flows.operations.routed import check_routed
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl
from homing.model.ids import SessionId
from homing.model.instances.steering import MovePlan, PlanKind, PlannedStep, PlanState
from homing.ports import Clock, Directory, Entropy, Fleet, StoreUnavailable, Work
from homing.ports.instances.steering import Steering

log = structlog.get_logger("homing")

TEND_EVERY_S = 1.0
STEPS_MOST = 1_000
BUDGET_MOST = 100
GAP_MS = 500
"""For how long a session is expected to be away where nobody measured it."""
_READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class PlanProgress:
    """A plan, and how far each of its steps is."""

    plan: MovePlan
    steps: Sequence[StepProgress]

    def count(self, state: StepState) -> int:
        return sum(each.state is state for each in self.steps)


class MovePlans:
    """Makes plans, runs them and stops them. `braked` says why nothing is to be moved at the moment."""

    def __init__(
        self,
        kept: Steering,
        directory: Directory,
        fleet: Fleet,
        work: Work,
        wishes: MoveRequests,
        balance: Balance,
        prospects: Prospects,
        clock: Clock,
        entropy: Entropy,
        braked: Callable[[], str | None],
    ) -> None:
        self._kept, self._directory, self._fleet, self._work = kept, directory, fleet, work
        self._wishes, self._balance, self._prospects = wishes, balance, prospects
        self._clock, self._entropy, self._braked = clock, entropy, braked

    # --- what people ask ------------------------------------------------------------------------------------------

    async def draft(self, kind: PlanKind, url: InstanceUrl | None, budget: int, by: str) -> PlanProgress:
        """What would move, in order, and what is in the way; kept, and nothing moves. Raises Problem."""
        if kind is PlanKind.EMPTY:
            if url is None:
                raise Problem(Code.INVALID_REQUEST, "Which instance is to be emptied?", field="instance_url")
            if url not in self._fleet.roster.instances:
                raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
            check_routed(self._fleet.roster, url, "nothing is moved away from it")
            reason, steps, staying = await self._emptying(url)
        else:
            url = None
            reason, steps, staying = await self._balancing()
        named, now = self._entropy.token(8).hex(), self._clock.now()
        plan = MovePlan(named, kind, url, budget, reason, by, now, tuple(steps[:STEPS_MOST]), staying)
        await self._kept.keep_plan(plan)
        log.info("Moves planned", plan=named, kind=kind.value, moves=len(plan.steps), staying=len(staying))
        return await self._seen(plan)

    async def begin(self, id: str, budget: int | None = None) -> PlanProgress:
        """Begin it, or go on with one that was stopped. Raises Problem."""
        plan = await self._found(id)
        if plan.state is PlanState.RUNNING:
            return await self._seen(plan)
        if plan.state is PlanState.DONE or not plan.steps:
            raise Problem(Code.INVALID_REQUEST, f"Nothing of the plan {id} is left to move; make another one")
        now = self._clock.now()
        began = await self._kept.set_plan(id, plan.state, PlanState.RUNNING, at=now, budget=budget)
        log.warning("Plan of moves runs", plan=id, moves=len(plan.steps), at_a_time=budget or plan.budget)
        return await self._tended(began) if began is not None else await self.of(id)

    async def stop(self, id: str) -> PlanProgress:
        """Begin nothing more of it. What is on its way already arrives. Raises Problem."""
        plan = await self._found(id)
        stopped = await self._kept.set_plan(id, PlanState.RUNNING, PlanState.STOPPED, at=self._clock.now())
        if stopped is None:
            if plan.state is PlanState.STOPPED:
                return await self._seen(plan)
            raise Problem(Code.INVALID_REQUEST, f"The plan {id} does not run")
        seen = await self._seen(stopped)
        log.warning("Plan of moves stopped", plan=id, moved=seen.count(StepState.MOVED), of=len(plan.steps))
        return seen

    async def of(self, id: str) -> PlanProgress:
        """Raises Problem."""
        return await self._seen(await self._found(id))

    async def newest(self, limit: int) -> list[PlanProgress]:
        return [await self._seen(plan) for plan in await self._kept.plans(limit=limit)]

    # --- running --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look after those that run, until cancelled."""
        while True:
            await self._clock.sleep(TEND_EVERY_S)
            try:
                for plan in await self._kept.plans(state=PlanState.RUNNING):
                    await self._tended(plan)
            except StoreUnavailable as error:
                log.warning("Plans of moves could not be looked after", error=str(error))

    async def _tended(self, plan: MovePlan) -> PlanProgress:
        seen = await self._seen(plan)
        if plan_progress.is_over(seen.steps):
            done = await self._kept.set_plan(plan.id, PlanState.RUNNING, PlanState.DONE, at=self._clock.now())
            log.warning("Plan of moves done", plan=plan.id, moved=seen.count(StepState.MOVED), of=len(plan.steps))
            return seen if done is None else PlanProgress(done, seen.steps)
        turn = plan_progress.next_steps(plan, seen.steps) if self._braked() is None else []
        if not turn:
            return seen
        await self._wishes.want([_wish(plan, step) for step in turn])
        await self._kept.note_begun(plan.id, [step.session_id for step in turn])
        return await self.of(plan.id)

    async def _found(self, id: str) -> MovePlan:
        plan = await self._kept.plan(id)
        if plan is None:
            raise Problem(Code.NOT_FOUND, f"There is no plan {id[:50]}")
        return plan

    async def _seen(self, plan: MovePlan) -> PlanProgress:
        sessions = [step.session_id for step in plan.steps]
        placements = {}
        for start in range(0, len(sessions), _READ_AT_ONCE):
            for account in await self._directory.accounts_of(sessions[start : start + _READ_AT_ONCE]):
                placements[account.session_id] = account.placement
        jobs = await self._work.open_of(KIND, sessions) if sessions else {}
        return PlanProgress(plan, plan_progress.progress(plan, placements, jobs))

    # --- planning -------------------------------------------------------------------------------------------------

    async def _balancing(self) -> tuple[str, list[PlannedStep], dict[int, str]]:
        found = await self._balance.rebalance(dry_run=True)
        accounts = found.accounts
        steps = [
            PlannedStep(
                move.session_id,
                accounts[move.session_id].id,
                move.from_url,
                accounts[move.session_id].placement.epoch,
                move.to_url,
                move.why,
                move.expected_gap_ms,
            )
            for move in found.plan.moves
        ]
        return found.plan.reason, steps, {accounts[each.session_id].id: each.reason for each in found.plan.skipped}

    async def _emptying(self, url: InstanceUrl) -> tuple[str, list[PlannedStep], dict[int, str]]:
        prospect, gaps_ms = await self._prospects.of(url), await self._balance.gaps_ms()
        steps = [
            PlannedStep(
                each.session_id,
                each.account_id,
                url,
                each.epoch,
                each.to_url,
                each.why,
                gaps_ms.get(each.to_url, GAP_MS),
            )
            for each in prospect.going
        ]
        staying = {each.account_id: each.reason for each in prospect.told}
        said = f"{len(steps)} can leave {url}" + (f", {prospect.staying} stay" if prospect.staying else "")
        return said, steps, staying


def _wish(plan: MovePlan, step: PlannedStep) -> MoveRequest:
    """Of an instance that is emptied each goes where there is room when its turn comes."""
    if plan.kind is PlanKind.REBALANCE:
        cause, to_url = MoveCause.BALANCE, step.to_url
    else:
        cause, to_url = MoveCause.REQUEST, None
    reason = step.why if plan.kind is PlanKind.REBALANCE else f"plan {plan.id} empties {plan.instance_url}"
    return MoveRequest(SessionId(step.session_id), cause, reason, step.from_url, step.from_epoch, to_url)

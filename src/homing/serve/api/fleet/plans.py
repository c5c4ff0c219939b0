"""`/plans`: moves that are planned as a dry run, run a few at a time, followed, and stopped."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from homing.decide.moves.plan_progress import StepState
from homing.flows.operations.plans import BUDGET_MOST, PlanProgress
from homing.model.fleet import InstanceUrl
from homing.model.instances.steering import PlanKind
from homing.serve.api.context import OPERATOR, Asking, Limit, TheGateway, operator
from homing.serve.api.listing import Listing
from homing.serve.gateway import Gateway
from homing.serve.http.described import also

Budget = Annotated[int, Meta(ge=1, le=BUDGET_MOST)]


class PlanBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be planned. `budget` is how many sessions may be on their way at a time."""

    kind: PlanKind = PlanKind.REBALANCE
    instance_url: Annotated[str, Meta(max_length=500)] | None = None
    budget: Budget = 5


class RunBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How many sessions may be on their way at a time; null: as it was planned."""

    budget: Budget | None = None


class StepView(msgspec.Struct):
    """One session. `state` is `waiting`, `under_way`, `moved`, `stuck` or `left`; `reason` says what is in its way."""

    order: int
    account_id: int
    phone: str
    session_id: str
    from_url: str
    to_url: str | None
    why: str
    expected_gap_ms: int
    state: str
    reason: str


class StayingView(msgspec.Struct):
    """A session that was looked at and stays, and why."""

    account_id: int
    phone: str
    reason: str


class PlanRow(msgspec.Struct):
    """A plan, and how many of its steps stand how. `state` is `draft`, `running`, `stopped` or `done`."""

    id: str
    kind: str
    instance_url: str | None
    state: str
    budget: int
    reason: str
    by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    moves: int
    waiting: int
    under_way: int
    moved: int
    stuck: int
    left: int
    staying: int


class PlanDocument(PlanRow):
    """The same, with each step in its order, and who stays."""

    steps: list[StepView] = []
    stays: list[StayingView] = []


@post("/plans", guards=[OPERATOR], opt=also(404, 409), summary="Plan moves: a dry run, which is kept")
async def make_plan(data: JSONBody[PlanBody], gateway: TheGateway, caller: Asking) -> PlanDocument:
    """What would move, in which order, how long each would be away, and what is in the way. Nothing moves."""
    operator(caller)
    url = InstanceUrl(data.instance_url) if data.instance_url is not None else None
    await gateway.stores.audit.note("plan.made", f"instance {url}" if url else "fleet", {"kind": data.kind.value})
    by = caller.key.name or f"key {caller.key.id}"
    return await _document(gateway, await gateway.moving.plans.draft(data.kind, url, data.budget, by))


@get("/plans", guards=[OPERATOR], summary="The plans of moves, the newest first")
async def plans(gateway: TheGateway, limit: Limit = 50) -> Listing[PlanRow]:
    return Listing([PlanRow(**_row(each)) for each in await gateway.moving.plans.newest(limit)])


@get("/plans/{plan_id:str}", guards=[OPERATOR], opt=also(404), summary="One plan, and how far each step is")
async def plan(plan_id: FromPath[str], gateway: TheGateway) -> PlanDocument:
    return await _document(gateway, await gateway.moving.plans.of(plan_id))


@post("/plans/{plan_id:str}/run", guards=[OPERATOR], opt=also(404), status_code=202, summary="Run a plan")
async def run_plan(
    plan_id: FromPath[str], gateway: TheGateway, caller: Asking, data: JSONBody[RunBody | None] = None
) -> PlanDocument:
    """So many at a time as its budget says. One that was stopped goes on. While the brake is on, none is begun."""
    operator(caller)
    await gateway.stores.audit.note("plan.run", f"plan {plan_id}")
    budget = data.budget if data is not None else None
    return await _document(gateway, await gateway.moving.plans.begin(plan_id, budget))


@post("/plans/{plan_id:str}/stop", guards=[OPERATOR], opt=also(404), status_code=202, summary="Stop a plan")
async def stop_plan(plan_id: FromPath[str], gateway: TheGateway, caller: Asking) -> PlanDocument:
    """Nothing more of it is begun. What is on its way arrives; what has moved stays."""
    operator(caller)
    await gateway.stores.audit.note("plan.stop", f"plan {plan_id}")
    return await _document(gateway, await gateway.moving.plans.stop(plan_id))


router = Router("/", route_handlers=[make_plan, plans, plan, run_plan, stop_plan], tags=["fleet"])


def _row(seen: PlanProgress) -> dict[str, Any]:
    plan = seen.plan
    counts = {state.value: seen.count(state) for state in StepState}
    return {
        "id": plan.id,
        "kind": plan.kind.value,
        "instance_url": plan.instance_url,
        "state": plan.state.value,
        "budget": plan.budget,
        "reason": plan.reason,
        "by": plan.by,
        "created_at": plan.created_at,
        "started_at": plan.started_at,
        "ended_at": plan.ended_at,
        "moves": len(plan.steps),
        "staying": len(plan.staying),
        **counts,
    }


async def _document(gateway: Gateway, seen: PlanProgress) -> PlanDocument:
    sessions = [each.step.session_id for each in seen.steps]
    accounts = await gateway.stores.directory.accounts_of(sessions)
    phones = {account.id: account.phone for account in accounts}
    steps = [
        StepView(
            number,
            each.step.account_id,
            phones.get(each.step.account_id, ""),
            each.step.session_id,
            each.step.from_url,
            each.step.to_url,
            each.step.why,
            each.step.gap_ms,
            each.state.value,
            each.reason,
        )
        for number, each in enumerate(seen.steps, start=1)
    ]
    stays = [StayingView(account, phones.get(account, ""), why) for account, why in seen.plan.staying.items()]
    return PlanDocument(**_row(seen), steps=steps, stays=stays)

"""Plans of moves: what each would do, how far it is, and what is in the way."""

from collections import defaultdict
from statistics import median
from typing import Any

from homing.decide.moves.plan_progress import StepProgress, StepState
from homing.flows.operations.plans import PlanProgress
from homing.model.errors import Code, Problem
from homing.model.instances.steering import MovePlan, PlanKind, PlanState
from homing.serve.page import words
from homing.serve.page.dialogs.shape import BLOCKERS_NAMED, FLEET, Dialog, named, offered
from homing.serve.page.viewer import Shape, Viewer

SHOWN, STEPS_SHOWN = 50, 200
_STATES = {
    PlanState.DRAFT: ("square", "off"),
    PlanState.RUNNING: ("right", "busy"),
    PlanState.STOPPED: ("bars", "warn"),
    PlanState.DONE: ("disc", "ok"),
}
_STEPS = {
    StepState.WAITING: ("square", "off"),
    StepState.UNDER_WAY: ("right", "busy"),
    StepState.MOVED: ("disc", "ok"),
    StepState.STUCK: ("bars", "warn"),
    StepState.LEFT: ("dash", "off"),
}


async def context(viewer: Viewer) -> dict[str, Any]:
    _operators_only(viewer)
    found = await viewer.gateway.moving.plans.newest(SHOWN)
    return {"template": "plans", "page": "moves", "plans": [_row(viewer, each) for each in found]}


async def one(viewer: Viewer, id: str) -> dict[str, Any]:
    _operators_only(viewer)
    seen = await viewer.gateway.moving.plans.of(id)
    gaps = [each.step.gap_ms for each in seen.steps]
    return {
        "template": "plan",
        "page": "moves",
        "plan": _row(viewer, seen),
        "figures": _figures(seen, gaps),
        "steps": [_step(viewer, number, each) for number, each in enumerate(seen.steps[:STEPS_SHOWN], start=1)],
        "blockers": _blockers(viewer, seen.plan),
        "actions": _actions(seen.plan),
    }


def _operators_only(viewer: Viewer) -> None:
    if not viewer.is_operator:
        raise Problem(Code.NOT_FOUND, f"Plans of moves are not shown to your key. {FLEET}")


def title(viewer: Viewer, plan: MovePlan) -> str:
    if plan.kind is PlanKind.REBALANCE:
        return "Rebalance the fleet"
    return f"Empty {viewer.short(plan.instance_url)}"


def _row(viewer: Viewer, seen: PlanProgress) -> dict[str, Any]:
    plan, counts = seen.plan, {state.value: seen.count(state) for state in StepState}
    total = len(plan.steps) or 1
    parts, x = [], 0.0
    for state, tone in ((StepState.MOVED, "ok"), (StepState.UNDER_WAY, "busy"), (StepState.STUCK, "warn")):
        width = 1000 * counts[state.value] / total
        parts.append({"tone": tone, "x": round(x, 1), "width": round(width, 1)})
        x += width
    when = plan.ended_at or plan.started_at or plan.created_at
    return {
        "id": plan.id,
        "href": f"/plans/{plan.id}",
        "title": title(viewer, plan),
        "state": Shape(*_STATES[plan.state], plan.state.value),
        "since": words.moment(when, viewer.now),
        "by": plan.by,
        "reason": words.sentence(plan.reason),
        "budget": plan.budget,
        "moves": len(plan.steps),
        "staying": len(plan.staying),
        "counts": counts,
        "parts": parts,
        "says": _says(seen, counts),
    }


def _says(seen: PlanProgress, counts: dict[str, int]) -> str:
    total = len(seen.plan.steps)
    if seen.plan.state is PlanState.DRAFT:
        return f"{words.many(total, 'session')} would move"
    rest = [(counts["under_way"], "on the way"), (counts["stuck"], "stuck"), (counts["left"], "left")]
    return ", ".join([f"{counts['moved']:,} of {total:,} moved", *(f"{each:,} {name}" for each, name in rest if each)])


def _figures(seen: PlanProgress, gaps: list[int]) -> list[tuple[str, str, str]]:
    plan, moved = seen.plan, seen.count(StepState.MOVED)
    draft = plan.state is PlanState.DRAFT
    gap = words.took(round(median(gaps))) if gaps else "–"
    return [
        ("Will move" if draft else "Moved", f"{len(gaps):,}" if draft else f"{moved:,}", f"of {len(gaps):,} planned"),
        ("Gap for each", gap, "expected; its messages wait"),
        ("At a time", f"{plan.budget:,}", "so many may be on their way at once"),
        ("Stay", f"{len(plan.staying):,}", "named below" if plan.staying else "nothing is in the way"),
    ]


def _step(viewer: Viewer, number: int, each: StepProgress) -> dict[str, Any]:
    step = each.step
    return {
        "number": number,
        "account_id": step.account_id,
        "phone": viewer.phone_of(step.session_id),
        "from_name": viewer.short(step.from_url),
        "to_name": viewer.short(step.to_url) if step.to_url else "where there is room",
        "why": each.reason or step.why,
        "gap": words.took(step.gap_ms),
        "state": Shape(*_STEPS[each.state], words.spaced(each.state.value)),
    }


def _blockers(viewer: Viewer, plan: MovePlan) -> list[tuple[str, str]]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for account, why in plan.staying.items():
        by_reason[why].append(viewer.phone_numbered(account, str(account)))
    return [
        (f"{words.many(len(phones), 'session stays', 'sessions stay')}: {reason}.", named(phones))
        for reason, phones in list(by_reason.items())[:BLOCKERS_NAMED]
    ]


def _actions(plan: MovePlan) -> list[dict[str, str]]:
    match plan.state:
        case PlanState.DRAFT:
            return [{"href": f"/plans/{plan.id}/run", "name": "Run…"}] if plan.steps else []
        case PlanState.RUNNING:
            return [{"href": f"/plans/{plan.id}/stop", "name": "Stop…"}]
        case PlanState.STOPPED:
            return [{"href": f"/plans/{plan.id}/run", "name": "Go on…"}]
        case PlanState.DONE:
            return []


async def dialog(viewer: Viewer, id: str, action: str) -> dict[str, Any]:
    """Run it or stop it."""
    _operators_only(viewer)
    seen = await viewer.gateway.moving.plans.of(id)
    plan, named_so = seen.plan, title(viewer, seen.plan)
    left = seen.count(StepState.WAITING) + (seen.count(StepState.LEFT) if plan.state is PlanState.STOPPED else 0)
    if action == "run":
        ask = Dialog(
            title=f"Run the plan: {named_so[:1].lower()}{named_so[1:]}?",
            text="Sessions go in the order of the plan, each only when its turn comes. You can stop it at any time;"
            " what has moved stays where it is then.",
            button=f"Run, move {left:,}",
            path=f"/api/v1/plans/{id}/run",
            command=f"homing plans run {id}",
            figures=_figures(seen, [each.step.gap_ms for each in seen.steps])[:3],
            blockers=_blockers(viewer, plan),
            notice=_braked(viewer),
            picks=[("budget", "At a time", [(str(each), str(each)) for each in _budgets(plan.budget)])],
            back=f"/plans/{id}",
        )
    elif action == "stop":
        under_way = seen.count(StepState.UNDER_WAY)
        ask = Dialog(
            title=f"Stop the plan: {named_so[:1].lower()}{named_so[1:]}?",
            text="Nothing more of it is begun. What is on its way arrives, and what has moved stays where it is.",
            button="Stop the plan",
            path=f"/api/v1/plans/{id}/stop",
            command=f"homing plans stop {id}",
            figures=[
                ("Moved", f"{seen.count(StepState.MOVED):,}", ""),
                ("On the way", f"{under_way:,}", "they arrive"),
            ],
            back=f"/plans/{id}",
        )
    else:
        raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of a plan")
    return offered(viewer, ask)


def _budgets(planned: int) -> list[int]:
    """The planned one is chosen first."""
    return [planned, *(each for each in (1, 5, 20, 50) if each != planned)]


def _braked(viewer: Viewer) -> str:
    brake = viewer.live.brake(viewer.scope)
    return f"The brake is on, and nothing is begun until it is off: {brake.reason}." if brake.engaged else ""


def new(viewer: Viewer) -> Dialog:
    """What is to be planned."""
    rows = [row for row in viewer.live.instances(None) if row.mode == "route" and row.sessions]
    choices = [("", "Spread the sessions of the fleet evenly")]
    choices += [(row.url, f"Empty {viewer.short(row.url)}, {words.many(row.sessions, 'session')}") for row in rows]
    return Dialog(
        title="Plan moves",
        text="A dry run: what would move, in which order, how long each would be away, and what is in the way. Nothing"
        " moves until the plan is run.",
        button="Plan",
        path="/api/v1/plans",
        command="homing plans make",
        picks=[
            ("instance_url", "What for", choices),
            ("budget", "Sessions on their way at a time", [(str(each), str(each)) for each in _budgets(5)]),
        ],
        body='{"kind": "rebalance"}',
        leads="/plans/",
        back="/plans",
    )

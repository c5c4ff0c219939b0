"""Dialogs of the whole fleet: spread its sessions evenly, or check every one of them now."""

import json
from typing import Any

from homing.decide.knowledge.standing import Group
from homing.model.errors import Code, Problem
from homing.serve.page import words
from homing.serve.page.dialogs.shape import BLOCKERS_NAMED, FLEET, Dialog, named, offered
from homing.serve.page.moving import plans
from homing.serve.page.viewer import Viewer

_TITLES = {
    "rebalance": "Rebalance the fleet?",
    "sync": "Check every session now?",
    "plan": "Plan moves",
    "automation": "Turn automation on or off?",
}


async def of_fleet(viewer: Viewer, action: str) -> dict[str, Any]:
    if action not in _TITLES:
        raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of the fleet")
    if not viewer.is_operator:
        return {"template": "dialog", "ask": Dialog(_TITLES[action], "", "", "", "", forbidden=FLEET)}
    match action:
        case "rebalance":
            return offered(viewer, await _rebalance(viewer))
        case "sync":
            return offered(viewer, await _sync(viewer))
        case "plan":
            return offered(viewer, plans.new(viewer))
        case _:
            return offered(viewer, _automation(viewer))


def _automation(viewer: Viewer) -> Dialog:
    automation, counts = viewer.gateway.moving.automation, viewer.live.book.counts(None)
    on = automation.is_on()
    off = (
        "Homing then moves nothing by itself, on all gateways. Sessions of an instance that is lost stay there, and"
        " cannot send, until it is on again or somebody moves them. What was begun arrives."
    )
    back_on = "Homing then brings sessions back by itself again, on all gateways, those that cannot send now first."
    return Dialog(
        title="Turn automation off?" if on else "Turn automation on?",
        text=off if on else back_on,
        button="Turn automation off" if on else "Turn automation on",
        path="/api/v1/automation",
        command=f"homing automation {'off' if on else 'on'}",
        figures=[
            ("Cannot send", f"{counts.cannot_send:,}", f"of {words.many(counts.total, 'session')}"),
            ("On their way", f"{counts[Group.UNDER_WAY]:,}", "they arrive"),
        ],
        method="PUT",
        body=json.dumps({"on": not on}),
        forbidden="" if automation.allowed else "It is off by HOMING_AUTO_REHOME; change that setting.",
        back="/now",
    )


async def _rebalance(viewer: Viewer) -> Dialog:
    plan = (await viewer.gateway.moving.balance.rebalance(dry_run=True)).plan
    to: dict[str, int] = {}
    for move in plan.moves:
        to[move.to_url] = to.get(move.to_url, 0) + 1
    by_reason: dict[str, list[str]] = {}
    for each in plan.skipped:
        by_reason.setdefault(each.reason, []).append(viewer.phone_of(each.session_id))
    longest = max((move.expected_gap_ms for move in plan.moves), default=0)
    return Dialog(
        title="Rebalance the fleet?",
        text=f"{plan.reason[:1].upper()}{plan.reason[1:]}. Idle sessions go first; messages wait for each meanwhile.",
        button=f"Rebalance, move {len(plan.moves):,}",
        path="/api/v1/rebalance",
        command="homing rebalance",
        figures=[
            ("Will move", f"{len(plan.moves):,}", f"of {words.many(viewer.live.book.counts(None).total, 'session')}"),
            ("Gap for each", words.took(longest) if longest else "–", "expected, at most"),
            ("Stay", f"{len(plan.skipped):,}", "looked at and left where they are"),
        ],
        places=[(viewer.short(url), f"+{number:,}", "") for url, number in sorted(to.items())],
        blockers=[
            (f"{words.many(len(phones), 'session stays', 'sessions stay')}: {reason}.", named(phones))
            for reason, phones in list(by_reason.items())[:BLOCKERS_NAMED]
        ],
        forbidden="" if plan.moves else "There is nothing to move.",
        body=json.dumps({"dry_run": False}),
    )


async def _sync(viewer: Viewer) -> Dialog:
    report = await viewer.gateway.sync.run(dry_run=True)
    return Dialog(
        title="Check every session now?",
        text="Every instance is asked for its list, and the record is corrected where it is wrong. Nothing is moved.",
        button="Check and correct",
        path="/api/v1/sync",
        command="homing sync-instance-urls",
        figures=[("As it stands", report.summary, "by a dry run just now")],
        body=json.dumps({"dry_run": False}),
        back="/settings",
    )

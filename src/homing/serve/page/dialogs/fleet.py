"""Dialogs of the whole fleet: spread its sessions evenly, or check every one of them now."""

import json
from typing import Any

from homing.model.errors import Code, Problem
from homing.serve.page import words
from homing.serve.page.dialogs.shape import BLOCKERS_NAMED, FLEET, Dialog, named, offered
from homing.serve.page.viewer import Viewer


async def of_fleet(viewer: Viewer, action: str) -> dict[str, Any]:
    titles = {"rebalance": "Rebalance the fleet?", "sync": "Check every session now?"}
    if action not in titles:
        raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of the fleet")
    if not viewer.is_operator:
        return {"template": "dialog", "ask": Dialog(titles[action], "", "", "", "", forbidden=FLEET)}
    return offered(viewer, await (_rebalance(viewer) if action == "rebalance" else _sync(viewer)))


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

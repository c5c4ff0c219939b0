"""For how long each session could not send in a month, worst first."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from homing.decide.knowledge.downtime import Month, month_named, month_of
from homing.model.fleet import Account
from homing.model.sessions.downtime import Downtime
from homing.ports import Page, StoreUnavailable
from homing.serve.api.watching.downtime import down_in
from homing.serve.page import words
from homing.serve.page.viewer import Viewer

SHOWN = 200
READ_AT_ONCE, READ_MAX = 500, 20


async def context(viewer: Viewer, query: Mapping[str, str]) -> dict[str, Any]:
    """The month that is asked for, or this one. The sums are of all that were read, also of those not shown."""
    month, this = _month(viewer, query.get("month", "")), month_of(viewer.now)
    rows, whole, away = list[Downtime](), True, False
    try:
        rows, whole = await _read(viewer, month)
    except StoreUnavailable:
        away = True
    worst = sorted(rows, key=lambda row: -row.down_s)[:SHOWN]
    before, after = month_of(month.begins - timedelta(days=1)), month_of(month.ends)
    return {
        "page": "sessions",
        "rows": [_shown(viewer, row) for row in worst],
        "month": str(month),
        "before": str(before),
        "after": str(after) if after.begins <= this.begins else "",
        "total": len(rows),
        "whole": whole,
        "away": away,
        "down": words.span(sum(row.down_s for row in rows)),
        "outages": f"{sum(row.outages for row in rows):,}",
        "failed": f"{sum(row.failed_sends for row in rows):,}",
    }


def _month(viewer: Viewer, named: str) -> Month:
    try:
        return month_named(named)
    except ValueError:
        return month_of(viewer.now)


async def _read(viewer: Viewer, month: Month) -> tuple[list[Downtime], bool]:
    """All that were down, and whether it is all of them: the table of a very large fleet is for a spreadsheet."""
    rows: list[Downtime] = []
    for _ in range(READ_MAX):
        after = rows[-1].account_id if rows else 0
        found = await down_in(viewer.gateway, viewer.scope, month, Page(after, READ_AT_ONCE), None)
        rows += found
        if len({row.account_id for row in found}) < READ_AT_ONCE:
            return rows, True
    return rows, False


def _shown(viewer: Viewer, row: Downtime) -> dict[str, Any]:
    account = viewer.account(row.session_id)
    reasons = sorted(row.reasons_s.items(), key=lambda each: -each[1])
    return {
        "phone": viewer.phone_of(row.session_id),
        "href": f"/sessions/{account.id}" if account is not None else "",
        "now": row.down_now,
        "down": words.span(row.down_s),
        "outages": f"{row.outages:,}",
        "repair": words.span(row.time_to_repair_s) if row.time_to_repair_s is not None else "–",
        "longest": words.span(max(row.repairs_s)) if row.repairs_s else "–",
        "failed": f"{row.failed_sends:,}",
        "why": ", ".join(f"{reason} {words.span(seconds)}" for reason, seconds in reasons),
    }


async def of_session(viewer: Viewer, account: Account) -> str:
    """What this month came to for one session, in a few words."""
    month = month_of(viewer.now)
    try:
        found = await down_in(viewer.gateway, viewer.scope, month, Page(0, 1), account.session_id)
    except StoreUnavailable:
        return "–"
    if not found:
        return "not down"
    return f"{words.span(found[0].down_s)}, {words.many(found[0].outages, 'outage')}"

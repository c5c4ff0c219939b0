"""Customers' webhook receivers, and one of them with the deliveries to it."""

from collections.abc import Mapping
from typing import Any

from homing.model.deliveries.deliveries import DeliveryState
from homing.model.deliveries.endpoints import EndpointId, EndpointRecord, EndpointState
from homing.model.errors import Code, Problem
from homing.ports import Page, StoreUnavailable
from homing.ports.deliveries.deliveries import WantedDeliveries
from homing.serve.page import words
from homing.serve.page.customers.deliveries import row_of
from homing.serve.page.viewer import Shape, Viewer

PAGE, DELIVERIES = 100, 50
SLOW_AFTER = 1
Counts = Mapping[DeliveryState, int]


async def context(viewer: Viewer, query: Mapping[str, str]) -> dict[str, Any]:
    """Those of the viewer's workspace, a page at a time, with what waits for each and what was given up."""
    found, counts, away = list[EndpointRecord](), dict[EndpointId, Counts](), False
    try:
        kept = viewer.gateway.stores.endpoints
        found = await kept.page(viewer.scope, after=query.get("after", "")[:64], limit=PAGE)
        counts = dict(await kept.counts([each.id for each in found]))
    except StoreUnavailable:
        away = True
    rows = [_shown(viewer, each, counts.get(each.id, {})) for each in found]
    return {
        "rows": sorted(rows, key=lambda row: ("bad", "warn", "off", "ok").index(row["state"].tone)),
        "away": away,
        "next": words.href("/endpoints", {"after": found[-1].id}) if len(found) == PAGE else "",
    }


def _shown(viewer: Viewer, record: EndpointRecord, counts: Counts) -> dict[str, Any]:
    made, health = record.settings, record.health
    return {
        "record": record,
        "href": f"/endpoints/{record.id}",
        "name": made.name or made.url,
        "place": made.url if made.name else record.id,
        "state": _state(record),
        "why": _why(viewer, record),
        "events": ", ".join(made.events) or "all events",
        "pending": f"{counts.get(DeliveryState.PENDING, 0):,}",
        "dead": counts.get(DeliveryState.DEAD, 0),
        "told": f"{words.ago(health.last_success_at, viewer.now)} ago" if health.last_success_at else "never",
        "latency": words.took(health.latency_ms) if health.latency_ms else "–",
    }


def _state(record: EndpointRecord) -> Shape:
    if record.state is EndpointState.DISABLED:
        return Shape("square", "off", "disabled")
    if record.backlog_full:
        return Shape("cross", "bad", "backlog full")
    return Shape("up", "warn", "failing") if record.health.failures >= SLOW_AFTER else Shape("disc", "ok", "answers")


def _why(viewer: Viewer, record: EndpointRecord) -> str:
    """Why it is not as it should be; empty for one that is well."""
    if record.state is EndpointState.DISABLED:
        return (
            words.sentence(record.state_reason or "somebody disabled it") + " It is told nothing until it is enabled."
        )
    health, told = record.health, ""
    if health.failures:
        since = f" since {words.moment(health.failing_since, viewer.now)}" if health.failing_since else ""
        told = f"{words.many(health.failures, 'attempt')} in a row failed{since}."
        if health.retry_at is not None and health.retry_at > viewer.now:
            told += f" Next try at {words.moment(health.retry_at, viewer.now)}."
    return told + (" Its backlog is full: nothing new is put behind what waits." if record.backlog_full else "")


# --- one endpoint ---------------------------------------------------------------------------------------------


async def one(viewer: Viewer, ref: str, query: Mapping[str, str]) -> dict[str, Any]:
    record = await find(viewer, ref)
    state = query.get("state", "")
    state = state if state in set(DeliveryState) else ""
    before = int(query["before"]) if query.get("before", "").isdecimal() and len(query["before"]) < 18 else 0
    wanted = WantedDeliveries(viewer.scope, record.id, DeliveryState(state) if state else None)
    found = await viewer.gateway.stores.deliveries.page(wanted, page=Page(before, DELIVERIES))
    counts = (await viewer.gateway.stores.endpoints.counts([record.id])).get(record.id, {})
    more = {"state": state, "before": str(found[-1].id)} if len(found) == DELIVERIES else {}
    return {
        "template": "endpoint",
        "shown": _shown(viewer, record, counts),
        "facts": _facts(viewer, record),
        "deliveries": [row_of(viewer, each) for each in found],
        "state": state,
        "states": [
            (words.href(f"/endpoints/{record.id}", {"state": each}), each, each.capitalize() or "All")
            for each in ("", *DeliveryState)
        ],
        "next": words.href(f"/endpoints/{record.id}", more) if more else "",
        "json_href": words.href("/api/v1/deliveries", {"endpoint_id": record.id, "state": state}),
        "csv_href": words.href("/api/v1/deliveries.csv", {"endpoint_id": record.id, "state": state}),
        "actions": _actions(viewer, record, counts.get(DeliveryState.DEAD, 0)),
    }


async def find(viewer: Viewer, ref: str) -> EndpointRecord:
    """Raises Problem; another workspace's is not there."""
    record = await viewer.gateway.stores.endpoints.find(EndpointId(ref[:64]))
    if record is None or viewer.scope not in (None, record.workspace_id):
        raise Problem(Code.ENDPOINT_NOT_FOUND, f"There is no endpoint {ref[:64]}")
    return record


def _facts(viewer: Viewer, record: EndpointRecord) -> list[tuple[str, str]]:
    made, health, now = record.settings, record.health, viewer.now
    return [
        ("Address", made.url),
        ("Events", ", ".join(made.events) or "all"),
        ("Tried for", "3 days" if made.schedule.value == "standard" else "15 s"),
        ("Order", "one at a time in each chat" if made.ordered else "as they come"),
        ("At most", f"{made.rate_per_s:,} a second" if made.rate_per_s else f"{made.concurrency} at once"),
        ("Takes", words.took(health.latency_ms) if health.latency_ms else "–"),
        ("Last told", words.moment(health.last_success_at, now)),
        ("Two secrets", _both_sign(viewer, record)),
        ("Workspace", str(record.workspace_id)),
        ("Made", words.moment(record.created_at, now)),
        ("Id", record.id),
    ]


def _both_sign(viewer: Viewer, record: EndpointRecord) -> str:
    """Until when the secret before a rotation signs too."""
    until = record.previous_secret_until
    return f"until {words.moment(until, viewer.now)}" if until is not None and until > viewer.now else "–"


def _actions(viewer: Viewer, record: EndpointRecord, dead: int) -> list[tuple[str, str]]:
    if not viewer.may_operate:
        return []
    at = f"/endpoints/{record.id}"
    replay = [(f"{at}/replay", f"Replay {dead:,} dead…")] if dead else []
    turn = ("disable", "Disable…") if record.state is EndpointState.ENABLED else ("enable", "Enable…")
    return [(f"{at}/test", "Test…"), *replay, (f"{at}/{turn[0]}", turn[1])]

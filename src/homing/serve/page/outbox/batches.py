"""Batches and how far they are, and one batch by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homing.model.errors import Code, Problem
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Batch, BatchState
from homing.ports import StoreUnavailable
from homing.serve.page import words
from homing.serve.page.outbox.messages import shape_of
from homing.serve.page.viewer import Shape, Viewer

PAGE = 50
LINES_SHOWN = 100
_SHAPES = {
    BatchState.RECEIVING: ("ring", "busy"),
    BatchState.RUNNING: ("right", "busy"),
    BatchState.PAUSED: ("bars", "warn"),
    BatchState.CANCELLED: ("square", "off"),
    BatchState.REJECTED: ("cross", "bad"),
    BatchState.DONE: ("disc", "ok"),
}
_MEANS = {
    BatchState.RECEIVING: "Its request is still being read. Nothing of it goes before that is at its end.",
    BatchState.RUNNING: "It gives its messages to the accounts' lanes, a few hundred at a time.",
    BatchState.PAUSED: "Nothing more of it goes until somebody resumes it.",
    BatchState.CANCELLED: "What had not left was taken back.",
    BatchState.REJECTED: "Nothing of it is sent.",
    BatchState.DONE: "Nothing of it waits any more.",
}
_SENT = (MessageState.SENT, MessageState.DELIVERED, MessageState.READ)
_FAILED = (MessageState.FAILED, MessageState.EXPIRED)
_WAITING = (MessageState.ACCEPTED, MessageState.HELD, MessageState.SENDING, MessageState.DISPATCHING)
_PARTS = ((_SENT, "ok"), (_FAILED, "bad"), ((MessageState.UNKNOWN,), "warn"), ((MessageState.CANCELLED,), "off"))


@dataclass(frozen=True, slots=True)
class ShownBatch:
    """A batch and what became of its messages. The figures from `sent` to `waiting` add up to `kept`."""

    batch: Batch
    name: str
    state: Shape
    sent: int
    failed: int
    unknown: int
    cancelled: int
    waiting: int
    kept: int
    meter: list[dict[str, Any]]
    actions: list[tuple[str, str]]


def shown(viewer: Viewer, batch: Batch) -> ShownBatch:
    kept = sum(batch.counts.values())
    return ShownBatch(
        batch=batch,
        name=batch.name or f"of {words.moment(batch.created_at, viewer.now)}",
        state=Shape(*_SHAPES[batch.state], batch.state.value),
        sent=_in(batch, _SENT),
        failed=_in(batch, _FAILED),
        unknown=_in(batch, (MessageState.UNKNOWN,)),
        cancelled=_in(batch, (MessageState.CANCELLED,)),
        waiting=_in(batch, _WAITING),
        kept=kept,
        meter=_meter(batch, kept),
        actions=_actions(viewer, batch),
    )


def _in(batch: Batch, states: tuple[MessageState, ...]) -> int:
    return sum(batch.counts.get(state, 0) for state in states)


def _meter(batch: Batch, kept: int) -> list[dict[str, Any]]:
    parts, x = [], 0.0
    for states, tone in _PARTS:
        width = 1000 * _in(batch, states) / (kept or 1)
        if width:
            parts.append({"tone": tone, "x": round(x, 1), "width": round(width, 1)})
        x += width
    return parts


def _actions(viewer: Viewer, batch: Batch) -> list[tuple[str, str]]:
    at, cancel = f"/batches/{batch.id}", (f"/batches/{batch.id}/cancel", "Cancel batch…")
    if not viewer.may_send:
        return []
    match batch.state:
        case BatchState.RUNNING:
            return [(f"{at}/pause", "Pause…"), cancel]
        case BatchState.PAUSED:
            return [(f"{at}/resume", "Resume…"), cancel]
        case _:
            return []


async def context(viewer: Viewer, query: Mapping[str, str]) -> dict[str, Any]:
    """The newest batches."""
    away, found = False, list[Batch]()
    before = query.get("before", "")[:64].lower() or None
    try:
        found = await viewer.gateway.stores.outbox.batches(viewer.scope, before=before, limit=PAGE)
    except StoreUnavailable:
        away = True
    more = words.href("/batches", {"before": found[-1].id}) if len(found) == PAGE else ""
    return {"batches": [shown(viewer, each) for each in found], "away": away, "next": more, "before": before}


# --- one batch ------------------------------------------------------------------------------------------------


async def one(viewer: Viewer, ref: str, query: Mapping[str, str]) -> dict[str, Any]:
    batch = await find(viewer, ref)
    after = int(query["after"]) if query.get("after", "").isdecimal() and len(query["after"]) < 9 else 0
    lines = await viewer.gateway.stores.outbox.invalid_lines(batch.id, after=after, limit=LINES_SHOWN)
    more = words.href(f"/batches/{batch.id}", {"after": str(lines[-1].line)}) if len(lines) == LINES_SHOWN else ""
    return {
        "template": "batch",
        "shown": shown(viewer, batch),
        "means": _MEANS[batch.state],
        "states": [
            (shape_of(state), f"{number:,}", words.href("/messages", {"batch": batch.id, "state": state.value}))
            for state in MessageState
            if (number := batch.counts.get(state, 0))
        ],
        "lines": lines,
        "next": more,
    }


async def find(viewer: Viewer, ref: str) -> Batch:
    """Raises Problem; another workspace's is not there."""
    batch = await viewer.gateway.stores.outbox.batch(viewer.scope, ref.lower())
    if batch is None:
        raise Problem(Code.BATCH_NOT_FOUND, f"There is no batch {ref[:100]}")
    return batch

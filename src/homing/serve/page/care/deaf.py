"""The sessions that are connected and not well: since when, by what evidence, what was tried, and what is next."""

from typing import Any

from homing.model.sessions.hearing import Hearing
from homing.ports import StoreUnavailable
from homing.serve.api.watching.deaf import DeafView, TriedRungView, not_well
from homing.serve.page import words
from homing.serve.page.viewer import Shape, Viewer

_STATES = {
    Hearing.DEAF.value: Shape("up", "bad", "deaf"),
    Hearing.DOUBTFUL.value: Shape("up", "warn", "doubtful"),
}
_NEXT = {
    "check": "ask it more closely",
    "resubscribe": "subscribe to its reports again",
    "reconnect": "let it connect again",
    "restart": "restart it",
    "rehome": "open it elsewhere",
    "recycle": "renew its instance",
    "alert": "tell somebody",
    "wait": "wait and listen",
}


async def context(viewer: Viewer) -> dict[str, Any]:
    found, away = list[DeafView](), False
    try:
        found = await not_well(viewer.gateway, viewer.scope)
    except StoreUnavailable:
        away = True
    worst = sorted(found, key=lambda each: (each.hearing != Hearing.DEAF.value, each.since_at))
    return {
        "rows": [_shown(viewer, each) for each in worst],
        "deaf": sum(each.hearing == Hearing.DEAF.value for each in found),
        "away": away,
    }


def _shown(viewer: Viewer, each: DeafView) -> dict[str, Any]:
    """`next` in words; what the judgment says of it stands behind."""
    return {
        "number": each.account_id,
        "phone": viewer.phone_numbered(each.account_id, each.phone),
        "state": _STATES[each.hearing],
        "since": words.moment(each.since_at, viewer.now),
        "for": words.ago(each.since_at, viewer.now),
        "instance": viewer.short(each.instance_url),
        "reason": words.sentence(each.reason),
        "inbound": words.ago(each.last_message_at, viewer.now),
        "acknowledged": words.ago(each.last_acknowledged_at, viewer.now),
        "tried": [_tried(viewer, rung) for rung in each.tried],
        "next": _NEXT.get(each.next, each.next) if each.next is not None else "nothing by itself",
        "next_reason": words.sentence(each.next_reason),
    }


def _tried(viewer: Viewer, rung: TriedRungView) -> str:
    came = words.sentence(rung.result) if rung.ended_at is not None else "Under way."
    return f"{words.moment(rung.began_at, viewer.now)} {words.spaced(rung.rung)}: {came}"

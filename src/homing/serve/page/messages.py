"""Sends that did not simply succeed."""

from collections import Counter
from typing import Any

from homing.model.sends.messages import MessageState
from homing.serve.page.viewer import Viewer

PAGE = 200
_SHAPES = {
    MessageState.SENDING: ("ring", "busy"),
    MessageState.ACCEPTED: ("ring", "busy"),
    MessageState.HELD: ("ring", "warn"),
    MessageState.DISPATCHING: ("ring", "busy"),
    MessageState.SENT: ("disc", "ok"),
    MessageState.DELIVERED: ("disc", "ok"),
    MessageState.READ: ("disc", "ok"),
    MessageState.FAILED: ("cross", "bad"),
    MessageState.UNKNOWN: ("up", "warn"),
    MessageState.EXPIRED: ("cross", "bad"),
    MessageState.CANCELLED: ("square", "off"),
}


async def context(viewer: Viewer, state: str) -> dict[str, Any]:
    """The newest records, of one state if that is asked for."""
    records = await viewer.recent_messages(PAGE)
    counts = Counter(record.state for record in records)
    states = [{"state": "", "name": "All", "number": len(records)}]
    states += [{"state": each.value, "name": each.value.capitalize(), "number": counts[each]} for each in MessageState]
    shown = []
    for record in records:
        if state and record.state.value != state:
            continue
        session = viewer.live.book.session_of(record.account_uuid)
        account = viewer.account(session) if session is not None else None
        shape, tone = _SHAPES[record.state]
        shown.append(
            {
                "record": record,
                "shape": {"shape": shape, "tone": tone, "word": record.state.value},
                "sender": viewer.phone_of(account.session_id) if account is not None else record.account_uuid,
                "href": f"/sessions/{account.id}" if account is not None else "",
                "instance": viewer.short(record.instance_url),
            }
        )
    return {"messages": shown, "states": states, "state": state, "limit": PAGE}

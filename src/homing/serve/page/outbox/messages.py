"""Messages that are kept, found by state and batch, and one message by itself."""

from collections.abc import Mapping
from typing import Any

from homing.model.errors import Code, Problem
from homing.model.fleet import Account
from homing.model.sends.messages import MessageRecord, MessageState
from homing.ports import StoreUnavailable
from homing.serve.page import words
from homing.serve.page.viewer import Shape, Viewer

PAGE = 200
_SHAPES = {
    MessageState.SENDING: ("ring", "busy"),
    MessageState.ACCEPTED: ("ring", "busy"),
    MessageState.HELD: ("bars", "warn"),
    MessageState.DISPATCHING: ("right", "busy"),
    MessageState.SENT: ("disc", "ok"),
    MessageState.DELIVERED: ("disc", "ok"),
    MessageState.READ: ("disc", "ok"),
    MessageState.FAILED: ("cross", "bad"),
    MessageState.UNKNOWN: ("up", "warn"),
    MessageState.EXPIRED: ("cross", "bad"),
    MessageState.CANCELLED: ("square", "off"),
}
_MEANS = {
    MessageState.SENDING: "It is on its way, and somebody waits for the answer.",
    MessageState.ACCEPTED: "It is safely kept, and is sent in its turn.",
    MessageState.HELD: "Its account was paired anew after it was accepted. It goes once somebody says so.",
    MessageState.DISPATCHING: "It is on its way: it may have left.",
    MessageState.SENT: "WhatsApp has it.",
    MessageState.DELIVERED: "The person's phone has it.",
    MessageState.READ: "The person has read it.",
    MessageState.FAILED: "It was not sent, and its chat goes on.",
    MessageState.UNKNOWN: "It may or may not have left. A report or its chat settles it; else somebody has to say.",
    MessageState.EXPIRED: "It was not sent in the time that it was worth sending.",
    MessageState.CANCELLED: "It was taken back before it left.",
}


def shape_of(state: MessageState) -> Shape:
    return Shape(*_SHAPES[state], state.value)


async def context(viewer: Viewer, query: Mapping[str, str]) -> dict[str, Any]:
    """The newest messages, of one state or one batch if that is asked for."""
    state, batch = _state(query.get("state", "")), query.get("batch", "")[:64].lower()
    away, records = False, list[MessageRecord]()
    try:
        records = await viewer.gateway.stores.outbox.page(
            viewer.scope,
            before=query.get("before", "")[:64].lower() or None,
            limit=PAGE,
            state=state,
            batch=batch or None,
        )
    except StoreUnavailable:
        away = True
    kept = {"batch": batch, "state": state.value if state is not None else ""}
    names = [("", "All"), *((each.value, each.value.capitalize()) for each in MessageState)]
    more = {**kept, "before": records[-1].uuid} if len(records) == PAGE else {}
    return {
        "messages": [_shown(viewer, record) for record in records],
        "states": [(words.href("/messages", {**kept, "state": value}), value, name) for value, name in names],
        "state": kept["state"],
        "batch": batch,
        "away": away,
        "next": words.href("/messages", more) if more else "",
        "json_href": words.href("/api/v1/messages", {"batch_id": batch, "state": kept["state"]}),
        "csv_href": words.href("/messages.csv", kept),
        "limit": PAGE,
    }


def _state(named: str) -> MessageState | None:
    return MessageState(named) if named in set(MessageState) else None


def _shown(viewer: Viewer, record: MessageRecord) -> dict[str, Any]:
    account = account_of(viewer, record)
    return {
        "record": record,
        "shape": shape_of(record.state),
        "sender": words.phone(account) if account is not None else record.account_uuid,
        "href": f"/sessions/{account.id}" if account is not None else "",
        "instance": viewer.short(record.instance_url),
    }


def account_of(viewer: Viewer, record: MessageRecord) -> Account | None:
    """Whose message it is; None once that account is gone."""
    session = viewer.live.book.session_of(record.account_uuid)
    return viewer.account(session) if session is not None else None


# --- one message ----------------------------------------------------------------------------------------------


async def one(viewer: Viewer, uuid: str) -> dict[str, Any]:
    record = await find(viewer, uuid)
    return {
        "template": "message",
        "shown": _shown(viewer, record),
        "record": record,
        "means": _MEANS[record.state],
        "facts": _facts(viewer, record),
        "actions": _actions(viewer, record),
    }


async def find(viewer: Viewer, uuid: str) -> MessageRecord:
    """Raises Problem; another workspace's is not there."""
    record = await viewer.gateway.stores.messages.message(viewer.scope, uuid.lower())
    if record is None:
        raise Problem(Code.MESSAGE_NOT_FOUND, f"There is no message {uuid[:100]}")
    return record


def _facts(viewer: Viewer, record: MessageRecord) -> list[tuple[str, str, str]]:
    account, now = account_of(viewer, record), viewer.now
    sender = words.phone(account) if account is not None else record.account_uuid
    return [
        ("From", sender, f"/sessions/{account.id}" if account is not None else ""),
        ("To", record.recipient_phone, ""),
        ("Through", viewer.short(record.instance_url), ""),
        ("Attempts", str(record.attempts), ""),
        ("Accepted", words.moment(record.created_at, now), ""),
        ("Not before", words.moment(record.send_at, now), ""),
        ("Worth until", words.moment(record.expires_at, now), ""),
        ("Batch", record.batch_id or "–", f"/batches/{record.batch_id}" if record.batch_id else ""),
        ("Code", record.code or "–", ""),
        ("Workspace", str(record.workspace_id), ""),
        ("Uuid", record.uuid, ""),
        ("WhatsApp id", record.message_id or "–", ""),
    ]


def _actions(viewer: Viewer, record: MessageRecord) -> list[tuple[str, str]]:
    """What somebody can do with it, as addresses of dialogs and the names of their buttons."""
    if not viewer.may_send:
        return []
    at = f"/messages/{record.uuid}"
    match record.state:
        case MessageState.UNKNOWN:
            return [
                (f"{at}/resend", "Send again…"),
                (f"{at}/mark_sent", "Mark as sent…"),
                (f"{at}/mark_failed", "Mark as failed…"),
            ]
        case MessageState.HELD:
            account = account_of(viewer, record)
            go = [(f"/sessions/{account.id}/outbox/go", "Send what is held…")] if account is not None else []
            return [*go, (f"{at}/cancel", "Take back…")]
        case MessageState.ACCEPTED:
            return [(f"{at}/cancel", "Take back…")]
        case _:
            return []

"""What does a stored event tell a customer: its type, its chat, and the body that is sent?

One set of shapes, whatever the gateway family: reports are stored in the same words whoever made them, and what we
know ourselves (a message that failed, a session that moved) is stored like a report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homing.model.deliveries.deliveries import ToldEvent
from homing.model.deliveries.endpoints import EventType

_NUMBERED = ("@c.us", "@s.whatsapp.net")
_STATUS = {
    "session_ready": "connected",
    "session_authenticated": "connected",
    "session_reconnected": "connected",
    "session_starting": "connecting",
    "session_pairing": "pairing",
    "qr_code_generated": "pairing",
    "session_disconnected": "disconnected",
    "session_marked_disconnected": "disconnected",
    "session_error": "error",
}
_LOGGED_OUT = frozenset({"logout", "logged_out", "unpaired", "unpaired_idle", "device_removed"})
_ACKNOWLEDGED = {
    "sent": EventType.MESSAGE_SENT,
    "delivered": EventType.MESSAGE_DELIVERED,
    "read": EventType.MESSAGE_READ,
    "played": EventType.MESSAGE_READ,
    "failed": EventType.MESSAGE_FAILED,
}
_PLAIN = {
    "message_sent": EventType.MESSAGE_SENT,
    "message_delivered": EventType.MESSAGE_DELIVERED,
    "message_read": EventType.MESSAGE_READ,
    "message_edited": EventType.MESSAGE_EDITED,
    "message_revoked": EventType.MESSAGE_REVOKED,
    "message_reaction": EventType.MESSAGE_REACTION,
    "message_failed": EventType.MESSAGE_FAILED,
    "session_moved": EventType.SESSION_MOVED,
    "batch_done": EventType.BATCH_DONE,
}
_ONCE = frozenset(
    {EventType.MESSAGE_SENT, EventType.MESSAGE_DELIVERED, EventType.MESSAGE_READ, EventType.MESSAGE_FAILED}
)
"""Told once of a message (and reader), although gateways tell of it in more than one word."""


@dataclass(frozen=True, slots=True)
class EventTelling:
    """What an event tells: `key` is what it tells once only, empty if it may tell it again; `status` of its session."""

    type: EventType
    chat: str = ""
    key: str = ""
    status: str = ""


def telling(kind: str, session_id: str | None, payload: Mapping[str, Any]) -> EventTelling | None:
    """What customers are told of an event; None: nothing."""
    if (status := _status_of(kind, payload)) is not None:
        return EventTelling(EventType.SESSION_STATUS, status=f"{status}: {_why(payload)}")
    told = _type_of(kind, payload)
    if told is None:
        return None
    chat = chat_of(payload)
    named = _message_id(payload)
    once = f"{session_id}|{named}|{told}|{_reader(payload)}" if named and told in _ONCE else ""
    return EventTelling(told, chat, once)


def body(event: ToldEvent, file: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is sent to a customer, in the form that Standard Webhooks recommends: type, timestamp, data.

    `file`: where the file of a message is to be had; None: nowhere.
    """
    about = {
        "event_id": event.id,
        "workspace_id": event.workspace_id,
        "account_uuid": event.account_uuid,
        "session_id": event.session_id,
        "session_sequence": event.session_sequence,
    }
    in_chat = {"chat": event.chat, "chat_sequence": event.chat_sequence} if event.chat else {}
    return {
        "type": event.type,
        "timestamp": event.at.isoformat(),
        "data": {**about, **in_chat, **_details(event, file)},
    }


def chat_of(payload: Mapping[str, Any]) -> str:
    """The other side of the conversation: digits for a person, an address with `@` for a group; empty: not told."""
    message = _message(payload)
    ours = message.get("from_me") is True
    given = (
        message.get("chat"),
        payload.get("recipient"),
        message.get("to") if ours else message.get("from"),
        payload.get("to") if ours else payload.get("from"),
        payload.get("chat_id"),
    )
    return next((_address(each) for each in given if isinstance(each, str) and each), "")


def _type_of(kind: str, payload: Mapping[str, Any]) -> EventType | None:
    match kind:
        case "message_received":
            return EventType.MESSAGE_SENT if _message(payload).get("from_me") is True else EventType.MESSAGE_RECEIVED
        case "message_status_updated" | "message_ack":
            return _ACKNOWLEDGED.get(str(payload.get("status")).lower())
        case _:
            return _PLAIN.get(kind)


def _status_of(kind: str, payload: Mapping[str, Any]) -> str | None:
    if kind == "session_status_changed":
        given = payload.get("status")
        return given.lower()[:40] if isinstance(given, str) and given else None
    status = _STATUS.get(kind)
    return "logged_out" if status == "disconnected" and _why(payload).lower() in _LOGGED_OUT else status


def _details(event: ToldEvent, file: Mapping[str, Any] | None) -> dict[str, Any]:
    payload = event.payload
    match EventType(event.type):
        case EventType.SESSION_STATUS:
            return {"status": _status_of(event.kind, payload) or "unknown", "why": _why(payload)}
        case EventType.SESSION_MOVED | EventType.BATCH_DONE | EventType.ENDPOINT_TEST:
            return dict(payload)
        case _:
            return {"message": _message_told(event, file)}


def _message_told(event: ToldEvent, file: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of a message what was reported of it, and always its id, its direction and, if it failed, why."""
    payload, message = event.payload, _message(event.payload)
    inbound = event.type == EventType.MESSAGE_RECEIVED
    told = {name: value for name, value in message.items() if name not in ("id", "session_id", "media")}
    if (media := _media(message, file)) is not None:
        told["media"] = media
    more = {
        name: payload[name]
        for name in ("status", "ack_level", "recipient", "reaction", "code", "reason", "message_uuid", "batch_id")
        if name in payload and name not in told
    }
    return {"id": _message_id(payload), "direction": "in" if inbound else "out", **told, **more}


def _media(message: Mapping[str, Any], file: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the file is, and our address of it. That of its gateway is nobody else's business."""
    given = message.get("media")
    said = {name: given[name] for name in ("mimetype", "filename") if name in given} if isinstance(given, dict) else {}
    return {**said, **(file or {})} if given is not None or file else None


def _message(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    message = payload.get("message")
    return message if isinstance(message, dict) else payload


def _message_id(payload: Mapping[str, Any]) -> str | None:
    for given in (_message(payload).get("id"), payload.get("message_id")):
        value = given.get("_serialized") or given.get("id") if isinstance(given, dict) else given
        if isinstance(value, str) and value:
            return value
    return None


def _reader(payload: Mapping[str, Any]) -> str:
    given = payload.get("participant") or _message(payload).get("participant")
    return given if isinstance(given, str) else ""


def _why(payload: Mapping[str, Any]) -> str:
    for name in ("reason", "error", "message", "why"):
        given = payload.get(name)
        if isinstance(given, str) and given:
            return given[:300]
    return ""


def _address(text: str) -> str:
    local, at, _ = text.partition("@")
    return local.partition(":")[0] if at and text.endswith(_NUMBERED) else text

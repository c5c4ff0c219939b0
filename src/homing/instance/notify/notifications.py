"""What the gateway is told of an event, in the words of the Node service, and how that is signed.

Source: the Node service, src/managers/SessionManager.js and utils/webhookNotifier.js. Beyond it there are
the notification's id and the session's epoch.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

import msgspec

from homing.instance.engine import CameWith
from homing.instance.notify.events import (
    CodeIssued,
    EventSubject,
    HostEvent,
    MessageReceived,
    MessageSent,
    SessionLeft,
    Status,
    StatusChanged,
)

EVENT_ID_HEADER = "X-Homing-Event-Id"
Told = tuple[str, dict[str, Any]]
_KINDS = frozenset({"image", "video", "audio"})


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing that the gateway is told. Body and id are the same in every attempt; ``at`` is unix seconds."""

    id: str
    session_id: str
    at: float
    body: bytes


def notification(event: HostEvent, at: float, fresh_id: Callable[[], str]) -> Notification | None:
    """What to tell of the event that happened at ``at``; None if it is told by another one already."""
    told = _told(event, at)
    if told is None:
        return None
    word, fields = told
    name, about = _own_id(event) or fresh_id(), event.about
    data = {"workspace_id": about.workspace_id, "session_id": about.session_id, "epoch": about.epoch, **fields}
    return Notification(name, about.session_id, at, msgspec.json.encode({"id": name, "event": word, "data": data}))


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The hexadecimal HMAC-SHA256 of the timestamp (unix seconds, as text) followed by the body."""
    return hmac.new(secret, timestamp.encode() + body, hashlib.sha256).hexdigest()


def headers(note: Notification, secret: bytes, instance_url: str, now: float) -> Mapping[str, str]:
    """What goes with one attempt: each is signed at its own time."""
    timestamp = str(int(now))
    return {
        "Content-Type": "application/json",
        "X-HMAC-Signature": signature(secret, timestamp, note.body),
        "X-Timestamp": timestamp,
        "X-Instance-Url": instance_url,
        EVENT_ID_HEADER: note.id,
    }


def _told(event: HostEvent, at: float) -> Told | None:
    match event:
        case StatusChanged():
            return _status(event, at)
        case CodeIssued(_, code, expires_in_s, typed):
            scanned = None if typed else code
            issued = {"qr_code": scanned, "pairing_code": code, "expires_in": int(expires_in_s), "timestamp": at}
            return "qr_code_generated", issued
        case MessageReceived():
            return "message_received", {"message": _received(event, at)}
        case MessageSent(_, message_id, recipient):
            sent = {"message_id": message_id, "to": _chat(recipient), "status": "sent", "timestamp": at}
            return "message_sent", sent
        case SessionLeft(_, current_epoch):
            reason = "its grant is over" if current_epoch is None else f"granted elsewhere at epoch {current_epoch}"
            return "session_disconnected", {"reason": reason, "current_epoch": current_epoch, "timestamp": at}
        case _:
            assert_never(event)


def _status(event: StatusChanged, at: float) -> Told | None:
    status, error = event.status, event.error
    base = {"status": status, "timestamp": at}
    match status:
        case Status.QR_SCANNING:
            return None
        case Status.AUTHENTICATED:
            return "session_authenticated", base
        case Status.CONNECTED:
            word = "session_reconnected" if event.reconnected else "session_ready"
            return word, {**base, "phone_number": event.phone_number}
        case Status.DISCONNECTED | Status.LOGGED_OUT:
            return "session_disconnected", {**base, "reason": error}
        case Status.ERROR:
            return "session_error", {**base, "error": error, "message": f"The session cannot go on: {error}"}
        case _:
            assert_never(status)


def _received(event: MessageReceived, at: float) -> dict[str, Any]:
    return {
        "id": event.id,
        "from": _chat(_whole(event.sender)),
        "to": _chat(event.phone_number) if event.phone_number else None,
        "body": _whole(event.text),
        "timestamp": _unix(event.at, at),
        "from_me": False,
        "type": "chat",
        "has_media": event.file is not None,
        "chat_type": "group" if event.sender.endswith("@g.us") else "private",
        **({} if event.file is None else _file(event.file)),
    }


def _file(file: CameWith) -> dict[str, Any]:
    """What came with it, and by what whoever holds the session finds it; its bytes come when they are asked for."""
    kind = file.mime_type.partition("/")[0]
    named = {"filename": _whole(file.file_name)} if file.file_name else {}
    return {
        "type": kind if kind in _KINDS else "document",
        "media": {"mimetype": file.mime_type, **named, "reference": file.reference},
    }


def _own_id(event: HostEvent) -> str | None:
    """The id of an event that WhatsApp may give us twice: the same both times."""
    match event:
        case MessageReceived(EventSubject(session_id), message_id):
            return _digest("message_received", session_id, message_id)
        case MessageSent(EventSubject(session_id), message_id, recipient):
            return _digest("message_sent", session_id, recipient, message_id)
        case _:
            return None


def _digest(*parts: str) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _chat(phone: str) -> str:
    """A phone as WhatsApp addresses it, and as receivers of the Node service's reports read it."""
    return phone if "@" in phone else f"{phone}@c.us"


def _whole(text: str) -> str:
    """The text without halves of characters, which JSON cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _unix(iso: str, otherwise: float) -> int:
    try:
        return int(datetime.fromisoformat(iso).timestamp())
    except ValueError:
        return int(otherwise)

"""What callers ask of an instance: bodies read and checked as the Node service does it.

Source: the Node service (whatsapp-service), src/controllers/MessageController.js and SessionController.js. A body that
fails a check becomes a ``RequestProblem``: the status code and the body to answer with.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from homing.model.fleet import EPOCH_MAX

PHONE = re.compile(r"\+?[\d\-()]*\d[\d\-()]*")
MESSAGE_ID = re.compile(r"[0-9A-Z]{8,64}")
TEXT_MAX = 65_536
RECIPIENTS_MAX = 1_000
BATCH_MAX = 1_000
SESSION_ID_MAX = 200
_DIGITS_MAX = 16

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RequestProblem:
    """The request cannot be done as asked."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SendRequest:
    """One text to one recipient, digits only. ``message_id`` is None where the caller leaves it to us."""

    session_id: str
    recipient: str
    text: str
    message_id: str | None


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """One text to many recipients, each as the caller wrote it."""

    session_id: str
    recipients: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A session to be held. ``epoch`` is named in the body where there are several."""

    session_id: str
    workspace_id: int | None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Sessions to be held, and how long the caller waits for all of them to be up; None leaves that to us."""

    sessions: tuple[StartRequest, ...]
    wait_s: float | None


def send(body: Body) -> SendRequest | RequestProblem:
    """The body of ``POST /api/messages/send``."""
    session_id, recipient = body.get("session_id"), body.get("recipient_phone")
    missing = _missing(body, "session_id", "recipient_phone", "message")
    if missing is not None:
        return missing
    if not _is_phone(recipient):
        return _bad("Invalid phone number format")
    text = _text(body)
    if isinstance(text, RequestProblem):
        return text
    message_id = body.get("message_id")
    if message_id is not None and not (isinstance(message_id, str) and MESSAGE_ID.fullmatch(message_id)):
        return _bad("Invalid message_id: 8 to 64 characters 0-9 and A-Z")
    return SendRequest(str(session_id), digits(str(recipient)), text, message_id)


def media(body: Body) -> RequestProblem:
    """The body of ``POST /api/messages/send-media``, which no engine here can do yet."""
    missing = _missing(body, "session_id", "recipient_phone", "media_url")
    return missing or _bad("Media is not supported by the simulated engine")


def bulk(body: Body) -> BulkRequest | RequestProblem:
    """The body of ``POST /api/messages/bulk-send``."""
    session_id, recipients = body.get("session_id"), body.get("recipients")
    if not session_id or not isinstance(recipients, list) or not recipients:
        required = ["session_id", "recipients (array)"]
        return RequestProblem(400, {"error": "Missing required fields", "required": required})
    if not body.get("message"):
        return _bad("Message content is required")
    if len(recipients) > RECIPIENTS_MAX:
        return _bad(f"Too many recipients: at most {RECIPIENTS_MAX} at once")
    invalid = [recipient for recipient in recipients if not _is_phone(recipient)]
    if invalid:
        error = "Invalid phone number format for some recipients"
        return RequestProblem(400, {"error": error, "invalid_recipients": invalid})
    text = _text(body)
    return text if isinstance(text, RequestProblem) else BulkRequest(str(session_id), tuple(recipients), text)


def start(body: Body) -> StartRequest | RequestProblem:
    """The body of ``POST /api/sessions``."""
    session_id = body.get("session_id")
    if not isinstance(session_id, str) or not session_id:
        return RequestProblem(400, {"error": "Missing required fields", "required": ["session_id"]})
    if len(session_id) > SESSION_ID_MAX:
        return _bad(f"session_id is longer than {SESSION_ID_MAX} characters")
    return StartRequest(session_id, workspace_id(body))


def batch(body: Body) -> BatchRequest | RequestProblem:
    """The body of ``POST /api/sessions/batch``."""
    given, wait_s = body.get("sessions"), body.get("wait_s")
    if not isinstance(given, list) or not given:
        return RequestProblem(400, {"error": "Missing required fields", "required": ["sessions (array)"]})
    if len(given) > BATCH_MAX:
        return _bad(f"Too many sessions: at most {BATCH_MAX} at once")
    if wait_s is not None and (isinstance(wait_s, bool) or not isinstance(wait_s, int | float) or wait_s < 0):
        return _bad("Invalid wait_s: seconds")
    sessions = [_one_of_batch(each) for each in given]
    wrong = next((each for each in sessions if isinstance(each, RequestProblem)), None)
    if wrong is not None:
        return wrong
    return BatchRequest(tuple(each for each in sessions if isinstance(each, StartRequest)), wait_s)


def _one_of_batch(given: object) -> StartRequest | RequestProblem:
    if not isinstance(given, Mapping):
        return _bad("Each of the sessions must be an object")
    wanted, named = start(given), given.get("epoch")
    if isinstance(wanted, RequestProblem):
        return wanted
    if named is not None and (isinstance(named, bool) or not isinstance(named, int) or not 0 < named <= EPOCH_MAX):
        return _bad("Invalid epoch")
    return replace(wanted, epoch=named)


def workspace_id(body: Body) -> int | None:
    """The workspace that a body names; both 1 and "1" are in use."""
    given = body.get("workspace_id")
    if isinstance(given, str) and given.isdecimal() and len(given) <= _DIGITS_MAX:
        given = int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) and abs(given) <= EPOCH_MAX else None


def epoch(header: str | None) -> int | RequestProblem | None:
    """The value of ``X-Homing-Epoch``, a positive number."""
    if header is None:
        return None
    named = int(header) if header.isascii() and header.isdecimal() and len(header) <= _DIGITS_MAX else 0
    return named if 0 < named <= EPOCH_MAX else _bad("Invalid X-Homing-Epoch")


def digits(phone: str) -> str:
    """A phone number as WhatsApp addresses it: its digits alone."""
    return re.sub(r"\D", "", phone)


def _missing(body: Body, *required: str) -> RequestProblem | None:
    if all(body.get(name) for name in required):
        return None
    return RequestProblem(400, {"error": "Missing required fields", "required": list(required)})


def _text(body: Body) -> str | RequestProblem:
    """The text to say; the Node service also takes an object as message, whose ``text`` we use."""
    message, kind = body["message"], body.get("type") or "text"
    if kind != "text":
        return _bad(f"Message type {kind} is not supported by the simulated engine")
    if isinstance(message, dict):
        message = message.get("text")
    if not isinstance(message, str) or not message:
        return _bad("Message must be string or object")
    return message if len(message) <= TEXT_MAX else _bad(f"Message is longer than {TEXT_MAX} characters")


def _is_phone(given: object) -> bool:
    return isinstance(given, str) and len(given) <= 64 and bool(PHONE.fullmatch(re.sub(r"\s", "", given)))


def _bad(error: str) -> RequestProblem:
    return RequestProblem(400, {"error": error})

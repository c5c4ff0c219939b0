"""What callers ask of an instance: bodies read and checked as the Node service does it.

Source: the Node service (whatsapp-service), src/controllers/MessageController.js and SessionController.js. A body that
fails a check becomes a ``RequestProblem``: the status code and the body to answer with.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from mimetypes import guess_type
from typing import Any
from urllib.parse import urlsplit

from homing.model.fleet import EPOCH_MAX
from homing.model.sends import content_json
from homing.model.sends.addresses import Address
from homing.model.sends.content import Content, KeptMedia, LinkedMedia, MediaContent, MessageRef, MessageType, words_of
from homing.model.sends.signs import ReadSign, TypingSign

PHONE = re.compile(r"\+?[\d\-()]*\d[\d\-()]*")
MESSAGE_ID = re.compile(r"[0-9A-Z]{8,64}")
MESSAGE_ID_OF_OTHERS = re.compile(r"[\x21-\x7e]{1,128}")
TEXT_MAX = 65_536
RECIPIENTS_MAX = 1_000
BATCH_MAX = 1_000
READ_MAX = 1_000
TYPING_MAX_S = 60.0
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
    """One message to one recipient: digits, or another address. ``message_id`` is None where the caller leaves it to
    us. ``content`` is None of a plain text."""

    session_id: str
    recipient: str
    text: str
    message_id: str | None
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """A message with a file that is at ``media_url``. ``sha256`` is what the caller says of its bytes."""

    message: SendRequest
    content: MediaContent
    media_url: str
    sha256: str | None


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
    content = _content(body)
    if isinstance(content, RequestProblem):
        return content
    if isinstance(content, MediaContent):
        return _bad("A message with a file goes to /api/messages/send-media")
    missing = _missing(body, "session_id", "recipient_phone", *(["message"] if content is None else []))
    if missing is not None:
        return missing
    if _recipient(body.get("recipient_phone")) is None:
        return _bad("Invalid phone number format")
    text = _text(body) if content is None else words_of(content)
    return text if isinstance(text, RequestProblem) else _addressed(body, text, content)


def media(body: Body) -> MediaRequest | RequestProblem:
    """The body of ``POST /api/messages/send-media``. The Node service's has no ``content``: then the file's name says
    of which type it is."""
    content, url = _content(body), body.get("media_url")
    if isinstance(content, RequestProblem):
        return content
    missing = _missing(body, "session_id", "recipient_phone", "media_url")
    if missing is not None:
        return missing
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        return _bad("media_url must be an http or https URL")
    if content is None:
        content = _content_by_name(body, url)
    if isinstance(content, RequestProblem):
        return content
    if not isinstance(content, MediaContent):
        return _bad("content has no file")
    addressed = _addressed(body, content.caption, content)
    if isinstance(addressed, RequestProblem):
        return addressed
    kept = content.media
    return MediaRequest(addressed, content, url, kept.sha256 if isinstance(kept, KeptMedia) else None)


def _addressed(body: Body, text: str, content: Content | None) -> SendRequest | RequestProblem:
    recipient = _recipient(body.get("recipient_phone"))
    if recipient is None:
        return _bad("Invalid phone number format")
    message_id = body.get("message_id")
    if message_id is not None and not (isinstance(message_id, str) and MESSAGE_ID.fullmatch(message_id)):
        return _bad("Invalid message_id: 8 to 64 characters 0-9 and A-Z")
    return SendRequest(str(body.get("session_id")), recipient, text, message_id, content)


def _recipient(given: object) -> str | None:
    """Digits of a phone as the Node service takes it, or another address as it stands."""
    if _is_phone(given):
        return digits(str(given))
    try:
        return str(Address.of(given)) if isinstance(given, str) else None
    except ValueError:
        return None


def _content(body: Body) -> Content | RequestProblem | None:
    """What it says, where that is more than a text."""
    told = body.get("content")
    if told is None:
        return None
    try:
        content = content_json.read(told)
        words: object = words_of(content)
    except (ValueError, TypeError, KeyError, AttributeError):
        return _bad("content is not one of a message")
    return content if isinstance(words, str) and len(words) <= TEXT_MAX else _bad("content is not one of a message")


def _content_by_name(body: Body, url: str) -> MediaContent | RequestProblem:
    name, caption = body.get("filename"), body.get("caption") or ""
    if not isinstance(caption, str) or len(caption) > TEXT_MAX:
        return _bad("Invalid caption")
    guessed = guess_type(str(name or urlsplit(url).path))[0] or ""
    kind = _KINDS.get(guessed.partition("/")[0], MessageType.DOCUMENT)
    return MediaContent(kind, LinkedMedia(url), caption, name if isinstance(name, str) and name else None)


_KINDS = {"image": MessageType.IMAGE, "video": MessageType.VIDEO, "audio": MessageType.AUDIO}


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


def read_marks(body: Body) -> ReadSign | RequestProblem:
    """The body of ``POST /api/sessions/{id}/read``: messages of one chat, written by others."""
    chat, given = _chat(body), body.get("messages")
    if chat is None:
        return _bad("Invalid chat")
    if not isinstance(given, list) or not 0 < len(given) <= READ_MAX:
        return _bad(f"messages must be 1 to {READ_MAX} of the chat")
    try:
        messages = [MessageRef(_id(each), participant=_author(each)) for each in given]
    except (ValueError, TypeError, KeyError, AttributeError):
        return _bad("Each of the messages must be an object with its id")
    return ReadSign(chat, tuple(messages))


def typing_sign(body: Body) -> TypingSign | RequestProblem:
    """The body of ``POST /api/sessions/{id}/typing``; 0 seconds end it."""
    chat, for_s = _chat(body), body.get("seconds")
    if chat is None:
        return _bad("Invalid chat")
    if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 <= for_s <= TYPING_MAX_S:
        return _bad(f"seconds must be a number from 0 to {TYPING_MAX_S:g}")
    return TypingSign(chat, float(for_s))


def _chat(body: Body) -> Address | None:
    recipient = _recipient(body.get("chat"))
    try:
        return Address.of(recipient) if recipient is not None else None
    except ValueError:
        return None


def _id(told: Body) -> str:
    if not isinstance(told["id"], str) or not MESSAGE_ID_OF_OTHERS.fullmatch(told["id"]):
        raise ValueError("no id of a message")
    return told["id"]


def _author(told: Body) -> Address | None:
    participant = told.get("participant")
    return Address.of(participant) if participant is not None else None


def typed_for(body: Body) -> str | RequestProblem | None:
    """Into whose phone a code is to be typed, in digits; None: one to scan is wanted."""
    given = body.get("phone_number")
    if given is None:
        return None
    number = digits(given) if isinstance(given, str) and PHONE.fullmatch(given) else ""
    if not 5 <= len(number) <= _DIGITS_MAX:
        return RequestProblem(400, {"error": "phone_number is no phone number"})
    return number


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

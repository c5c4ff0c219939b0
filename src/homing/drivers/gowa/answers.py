"""What GOWA's answers mean, by its source (v9, 51f7b19, src/pkg/error); no traffic of it was recorded.

All that it says is wrapped: `{"status", "code", "message", "results"}`, and the code says more than the status.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from homing.drivers import reading
from homing.drivers.http.connection import Reply
from homing.drivers.redact import shown
from homing.drivers.values import NAME_MAX, moment_in, text_in
from homing.model.fleet import InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import SeenMessage
from homing.model.sends.sending import Receipt

_STATES = {
    "logged_in": SessionStatus.CONNECTED,
    "connected": SessionStatus.PAIRING,
    "connecting": SessionStatus.STARTING,
    "disconnected": SessionStatus.DISCONNECTED,
}
_CODES = {
    "DEVICE_NOT_FOUND": Phase.SESSION_NOT_FOUND,
    "AUTHENTICATION_ERROR": Phase.SESSION_NOT_READY,
    "WA_REACHOUT_TIMELOCK": Phase.RECIPIENT_RESTRICTED,
    "DEVICE_ID_REQUIRED": Phase.REQUEST_REJECTED,
    "VALIDATION_ERROR": Phase.REQUEST_REJECTED,
    "INVALID_JID": Phase.REQUEST_REJECTED,
    "DEVICE_MANAGER_UNAVAILABLE": Phase.UNAVAILABLE,
}
"""`AUTHENTICATION_ERROR` comes with 401, as a wrong password does, and means a session that is not logged in."""
PICTURE_BYTES = 256 * 1024
_SERVED = "statics"
_NO_FILE = ("message with id", "message not found", "does not contain downloadable media", "does not belong to chat")
_PNG = b"\x89PNG\r\n\x1a\n"
_CODE_S, _CODE_S_MAX = 20, 600


def sessions_of(instance: InstanceUrl, reply: Reply) -> SessionList | Fault:
    """The devices, each of which is a session."""
    said = reading.part(reading.said_by(reply.body), "results")
    if not isinstance(said, list):
        return reading.malformed(reply, "the answer to a list was not a list of devices")
    return reading.list_of(instance, reply, said, row_of)


def row_of(said: object) -> reading.Row | None:
    """One device of its list."""
    name, word = reading.name_in(reading.part(said, "id")), reading.part(said, "state")
    if name is None:
        return None
    status = _STATES.get(word) if isinstance(word, str) else None
    phone = reading.phone_of(reading.part(said, "jid")) or reading.phone_of(reading.part(said, "phone_number"))
    odd = "" if status else f"has a status that is not known: {shown(str(word))!r}"
    return ListedSession(SessionId(name), status or SessionStatus.UNKNOWN, phone), odd


def session_of(reply: Reply, session_id: SessionId) -> ListedSession | Fault:
    told = reading.part(reading.said_by(reply.body), "results")
    up, linked = reading.part(told, "is_connected"), reading.part(told, "is_logged_in")
    if not isinstance(up, bool) or not isinstance(linked, bool):
        return reading.malformed(reply, "the answer about a session did not tell how it stands")
    if up and linked:
        return ListedSession(session_id, SessionStatus.CONNECTED)
    return ListedSession(session_id, SessionStatus.PAIRING if up else SessionStatus.DISCONNECTED, surely_unlinked=up)


class CodeLink(NamedTuple):
    """Where the picture of a code is, on the instance that was asked, and for how many seconds it is good."""

    path: str
    good_for_s: int


def link_of(reply: Reply) -> CodeLink | Fault:
    """Its link names the host that its caller used, or that of a proxy: only the path is heeded."""
    told = reading.part(reading.said_by(reply.body), "results")
    link, lives_s = text_in(reading.part(told, "qr_link"), NAME_MAX), reading.part(told, "qr_duration")
    path = quote(unquote(urlsplit(link).path), safe="/") if link is not None else ""
    if not path.startswith("/") or ".." in path:
        return reading.malformed(reply, "the answer to a login named no picture of a code")
    is_told = isinstance(lives_s, int) and not isinstance(lives_s, bool) and 0 < lives_s <= _CODE_S_MAX
    return CodeLink(path, lives_s if is_told else _CODE_S)


def picture_of(reply: Reply) -> str | Fault:
    """The picture as a data URL."""
    if not reply.body.startswith(_PNG):
        return reading.malformed(reply, "what its link to a code led to is no PNG picture")
    return f"data:image/png;base64,{b64encode(reply.body).decode()}"


def file_path(reply: Reply) -> str | Fault:
    """Where the file is that it took from WhatsApp: a path below the folder that it serves, and no other."""
    told = text_in(reading.part(reading.said_by(reply.body), "results", "file_path"), NAME_MAX)
    names = unquote(told).removeprefix("/").split("/") if told is not None else []
    if len(names) < 2 or names[0] != _SERVED or not all(_is_name(name) for name in names):
        return reading.malformed(reply, "the answer to a download named no file that it serves")
    return "/" + "/".join(quote(name, safe="") for name in names)


def no_file(fault: Fault) -> Fault:
    """It says with a 500 that it has no such message, or that there is no file in it."""
    known = fault.phase is Phase.SERVER_ERROR and any(words in fault.detail.lower() for words in _NO_FILE)
    return replace(fault, phase=Phase.PATH_NOT_FOUND) if known else fault


def _is_name(name: str) -> bool:
    return bool(name) and name not in (".", "..") and name.isprintable() and "\\" not in name


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    message_id = reading.name_in(reading.part(reading.said_by(reply.body), "results", "message_id"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    return Receipt(message_id, 0)


def seen_of(said: Mapping[str, Any]) -> SeenMessage | None:
    """A message of its store; of a file it tells the kind, and not what would name the very file."""
    message_id, at = reading.name_in(said.get("id")), moment_in(said.get("timestamp"))
    if message_id is None:
        return None
    text = said.get("content") if not said.get("media_type") else None
    words = text if isinstance(text, str) else None
    return SeenMessage(message_id, said.get("is_from_me") is True, int(at.timestamp()) if at else None, words)


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is."""
    told = reading.told_by(reply.body)
    words = reading.text(told.get("message")) or reading.told_words(reply)
    known = _CODES.get(str(told.get("code")))
    phase = known or reading.plain_phase(reply.status, refused=Phase.OUTCOME_UNKNOWN if told else Phase.MISDIRECTED)
    return reading.fault(reply, phase, words, secrets)

"""What WAHA's answers mean. Recorded from 2024.10.8 Core, with both its engines; 2026.7.1 by its OpenAPI document."""

from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from homing.drivers import reading
from homing.drivers.http.connection import Reply
from homing.drivers.libraries import whatsapp_web
from homing.drivers.redact import shown
from homing.model.fleet import InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt

_STATUSES = {
    "WORKING": SessionStatus.CONNECTED,
    "STARTING": SessionStatus.STARTING,
    "SCAN_QR_CODE": SessionStatus.PAIRING,
    "PASSKEY_REQUIRED": SessionStatus.PAIRING,
    "PASSKEY_CONFIRMATION_REQUIRED": SessionStatus.PAIRING,
    "FAILED": SessionStatus.FAILED,
    "STOPPED": SessionStatus.STOPPED,
}
_NOT_HELD_WORDS = ("session not found", "we didn't find a session", "waha core support only 'default' session")
_NOT_READY_WORDS = "session status is not as expected"
_BROWSER_DOWN = frozenset({"CONFLICT", "UNPAIRED", "UNPAIRED_IDLE", "UNLAUNCHED", "TIMEOUT", "DEPRECATED_VERSION"})
"""States of WhatsApp Web (whatsapp-web.js, `WAState`) in which its page has no connection."""
_FILES = "/api/files/"
_URL_MAX = 2_000
ALREADY_STARTED_WORDS = "is already started"


def sessions_of(instance: InstanceUrl, reply: Reply) -> SessionList | Fault:
    """What runs there."""
    said = reading.said_by(reply.body)
    if not isinstance(said, list):
        return reading.malformed(reply, "the answer to a list was not a list of sessions")
    running = [each for each in said if reading.part(each, "status") != "STOPPED"]
    return reading.list_of(instance, reply, running, row_of)


def row_of(said: object) -> reading.Row | None:
    """One session, as a list, its status or the answer to a start describes it."""
    name, word = reading.name_in(reading.part(said, "name")), reading.part(said, "status")
    if name is None:
        return None
    status = _STATUSES.get(word) if isinstance(word, str) else None
    listed = ListedSession(
        SessionId(name),
        status or SessionStatus.UNKNOWN,
        reading.phone_of(reading.part(said, "me", "id")),
        surely_unlinked=status is SessionStatus.PAIRING,
    )
    return listed, "" if status else f"has a status that is not known: {shown(str(word))!r}"


def session_of(reply: Reply, session_id: SessionId, secrets: Sequence[str]) -> ListedSession | Fault:
    """The session that an answer describes. It must be the one that was meant."""
    row = row_of(reading.said_by(reply.body))
    if row is None:
        return reading.malformed(reply, "the answer about a session named none", secrets)
    if row[0].session_id != session_id:
        return reading.malformed(reply, f"the answer was about another session: {row[0].session_id}", secrets)
    return row[0]


def is_engine_dead(reply: Reply) -> bool:
    """Whether the answer about one session says that its engine runs no connection, whatever its status.

    WAHA asks the engine for that with the session alone, within 1 s, and leaves out what did not answer
    (`fetchEngineInfo` in core/manager.core.ts): GOWS tells `gows.connected`, a browser the `state` of
    its page. What is left out says nothing.
    """
    engine = reading.part(reading.said_by(reply.body), "engine")
    if not isinstance(engine, dict):
        return False
    if reading.part(engine, "gows", "connected") is False:
        return True
    state = engine.get("state", "CONNECTED")
    return isinstance(state, str) and state in _BROWSER_DOWN


def is_nobody(reply: Reply) -> bool:
    """Whether `/me` says that its engine is logged in as nobody: null, which a working session never says
    (`getMe` in api/sessions.controller.ts answers `MeInfo | null` from the engine's memory)."""
    body = reply.body.strip()
    return body in (b"", b"null") or reading.said_by(body) == {}


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    """The id is an object with WEBJS and a text or in the message's key with the others."""
    said = reading.said_by(reply.body)
    message_id = reading.id_of(reading.part(said, "id")) or reading.id_of(reading.part(said, "key"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    at = reading.part(said, "timestamp") or reading.part(said, "messageTimestamp")
    return Receipt(message_id, reading.unix_s(at))


def file_path(url: object) -> str | None:
    """The path of a file that WAHA keeps itself, at whatever host it believes to be; None for any other address.

    Its host is what its environment says (WAHA_BASE_URL), often one that only it can reach, and is never asked.
    """
    try:
        parts = urlsplit(url) if isinstance(url, str) and len(url) <= _URL_MAX else None
    except ValueError:
        return None
    if parts is None or parts.scheme not in ("http", "https") or not parts.path.startswith(_FILES):
        return None
    names = unquote(parts.path).removeprefix(_FILES).split("/")
    if not all(name and name not in (".", "..") and name.isprintable() and "\\" not in name for name in names):
        return None
    return _FILES + "/".join(quote(name, safe="") for name in names)


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is.

    A session that is not working is waited for by WAHA itself for 5 s, and then refused with 422. A 500 is the
    engine's, and may come after the message went out.
    """
    told = reading.told_by(reply.body)
    thrown = reading.text(reading.part(told, "exception", "message"))
    words = thrown or reading.text(told.get("message")) or reading.told_words(reply)
    lowered = words.lower()
    match reply.status:
        case 404 | 422 if told and lowered.startswith(_NOT_HELD_WORDS):
            phase = Phase.SESSION_NOT_FOUND
        case 422 if lowered.startswith(_NOT_READY_WORDS):
            phase = Phase.SESSION_NOT_READY
            words = f"{words} (its status is {told.get('status')})"
        case 400 | 422 if not told or reading.is_garbled(words):
            phase = Phase.MISDIRECTED
        case 500 if thrown is not None:
            phase = whatsapp_web.never_left(words) or Phase.SERVER_ERROR
        case status:
            phase = reading.plain_phase(status, refused=Phase.REQUEST_REJECTED)
    return reading.fault(reply, phase, words, secrets)

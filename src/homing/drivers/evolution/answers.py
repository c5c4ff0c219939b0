"""What Evolution's answers mean. Recorded from 2.3.6; the licence gate of 2.4 by its source (src/licensing/runtime.ts).

Its error for everything that goes wrong in a send is 400, also after the message went out: only two forms of it say
that nothing did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from homing.drivers import reading
from homing.drivers.histories import reached_by
from homing.drivers.http.connection import Reply
from homing.drivers.libraries import baileys_reports
from homing.drivers.redact import shown
from homing.model.fleet import InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import SeenMessage
from homing.model.sends.sending import Receipt

_STATUSES = {
    "open": SessionStatus.CONNECTED,
    "connecting": SessionStatus.STARTING,
    "close": SessionStatus.DISCONNECTED,
    "refused": SessionStatus.DISCONNECTED,
}
_DEVICE_REMOVED = 401
"""WhatsApp's reason for a closed connection (Baileys, DisconnectReason.loggedOut)."""
UNLICENSED_CODE = "LICENSE_REQUIRED"


def status_of(word: object) -> tuple[SessionStatus, str]:
    status = _STATUSES.get(word) if isinstance(word, str) else None
    odd = "" if status else f"has a status that is not known: {shown(str(word))!r}"
    return status or SessionStatus.UNKNOWN, odd


def sessions_of(instance: InstanceUrl, reply: Reply) -> SessionList | Fault:
    """The rows of its database."""
    said = reading.said_by(reply.body)
    if not isinstance(said, list):
        return reading.malformed(reply, "the answer to a list was not a list of sessions")
    return reading.list_of(instance, reply, said, row_of)


def row_of(said: object) -> reading.Row | None:
    """One session as the list describes it: a row of Evolution's database.

    One that is connecting and never had a phone shows a code.
    """
    name = reading.name_in(reading.part(said, "name"))
    if name is None:
        return None
    status, odd = status_of(reading.part(said, "connectionStatus"))
    owner = reading.part(said, "ownerJid")
    if status is SessionStatus.DISCONNECTED and reading.part(said, "disconnectionReasonCode") == _DEVICE_REMOVED:
        status = SessionStatus.LOGGED_OUT
    shows_code = status is SessionStatus.STARTING and owner is None
    return (
        ListedSession(
            SessionId(name),
            SessionStatus.PAIRING if shows_code else status,
            reading.phone_of(owner),
            surely_unlinked=shows_code,
        ),
        odd,
    )


def state_of(reply: Reply, session_id: SessionId, secrets: Sequence[str]) -> ListedSession | Fault:
    """The session by the state of its connection.

    Without a state this process does not have it: it was deleted, another process with the same database has it, or
    it has not come up yet.
    """
    about = reading.part(reading.said_by(reply.body), "instance")
    if not isinstance(about, dict):
        return reading.malformed(reply, "the answer about a session named none", secrets)
    word = about.get("state") or about.get("status")
    if word is None:
        words = "it is known there and not in this process"
        return Fault(Phase.SESSION_NOT_FOUND, words, reply.status)
    return ListedSession(session_id, status_of(word)[0])


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    said = reading.said_by(reply.body)
    message_id = reading.id_of(reading.part(said, "key"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    return Receipt(message_id, reading.unix_s(reading.part(said, "messageTimestamp")))


def seen_of(said: Mapping[str, Any]) -> SeenMessage | None:
    """A message of its database. How far it came is told beside it, as one status after the other; before the first it
    had been handed to WhatsApp's socket, which is all that its receipts tell, too."""
    seen = baileys_reports.seen_of(said)
    updates = said.get("MessageUpdate")
    statuses = [reading.part(each, "status") for each in (updates if isinstance(updates, list) else [])]
    levels = [baileys_reports.level_of(status) for status in statuses]
    told = [level for level in levels if level is not None]
    return replace(seen, reached=reached_by(max(told))) if seen is not None and told else seen


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is."""
    told = reading.told_by(reply.body)
    said = reading.part(told, "response", "message")
    words = _words(said) or reading.text(told.get("message")) or reading.told_words(reply)
    match reply.status:
        case 404 if "instance does not exist" in words or (words.startswith("Instance ") and "not found" in words):
            phase = Phase.SESSION_NOT_FOUND
        case 403 if "already in use" in words:
            phase = Phase.REQUEST_REJECTED
        case 503 if told.get("code") == UNLICENSED_CODE:
            phase = Phase.UNLICENSED
            words = f"{UNLICENSED_CODE}: {words}"
        case 400 | 422 if not told or reading.is_garbled(words):
            phase = Phase.MISDIRECTED
        case 400:
            phase = _refused(said)
        case status:
            phase = reading.plain_phase(status, refused=Phase.OUTCOME_UNKNOWN)
    return reading.fault(reply, phase, words, secrets)


def _refused(said: Any) -> Phase:
    """Nobody has WhatsApp at the number, or something is missing: nothing was sent. All else comes from its engine."""
    first = said[0] if isinstance(said, list) and said else None
    if reading.part(first, "exists") is False:
        return Phase.REQUEST_REJECTED
    if isinstance(first, list) and first and "requires property" in str(first[0]):
        return Phase.REQUEST_REJECTED
    return Phase.SERVER_ERROR


def _words(said: Any) -> str:
    match said:
        case str():
            return said
        case [{"exists": False, "number": number}, *_]:
            return f"{number} is not on WhatsApp"
        case [list() as inner, *_]:
            return _words(inner)
        case [first, *_]:
            return str(first)
        case _:
            return ""

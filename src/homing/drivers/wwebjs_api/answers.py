"""What wwebjs-api's answers mean, as recorded from 1.0.0 of 2026-07-15."""

from collections.abc import Sequence

from homing.drivers import reading
from homing.drivers.http.connection import Reply
from homing.drivers.libraries import whatsapp_web
from homing.drivers.redact import shown
from homing.model.fleet import ListedSession, SessionId, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt

_NOT_HELD = "session_not_found"
_STATUSES = {
    "session_connected": SessionStatus.CONNECTED,
    "session_not_connected": SessionStatus.DISCONNECTED,
    "session closed": SessionStatus.DISCONNECTED,
    "browser tab closed": SessionStatus.DISCONNECTED,
}
_NOT_READY = tuple(word for word, status in _STATUSES.items() if status is SessionStatus.DISCONNECTED)


def session_of(reply: Reply, session_id: SessionId, secrets: Sequence[str]) -> ListedSession | Fault:
    """One session by its status, which is answered with 200 whatever it is."""
    told = reading.told_by(reply.body)
    word = reading.text(told.get("message"))
    if word is None:
        return reading.malformed(reply, "the answer about a session said nothing of it", secrets)
    if word == _NOT_HELD:
        return Fault(Phase.SESSION_NOT_FOUND, word, reply.status)
    status = _STATUSES.get(word.lower())
    if status is None:
        return ListedSession(session_id, SessionStatus.UNKNOWN, error=shown(word, secrets))
    if status is SessionStatus.CONNECTED and told.get("success") is not True:
        status = SessionStatus.DISCONNECTED
    return ListedSession(session_id, status)


def names_of(reply: Reply) -> list[object] | Fault:
    said = reading.told_by(reply.body).get("result")
    if not isinstance(said, list):
        return reading.malformed(reply, "the answer to a list was not a list of sessions")
    return said


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    message = reading.part(reading.said_by(reply.body), "message")
    message_id = reading.id_of(reading.part(message, "id"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    return Receipt(message_id, reading.unix_s(reading.part(message, "timestamp")))


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is. A 404 in its own words comes before its engine is asked."""
    told = reading.told_by(reply.body)
    words = reading.told_words(reply)
    match reply.status:
        case 404 if words == _NOT_HELD:
            phase = Phase.SESSION_NOT_FOUND
        case 404 if told and words.lower() in _NOT_READY:
            phase = Phase.SESSION_NOT_READY
        case 400 | 422 if not told or reading.is_garbled(words):
            phase = Phase.MISDIRECTED
        case 500 if told:
            phase = whatsapp_web.never_left(words) or Phase.SERVER_ERROR
        case status:
            phase = reading.plain_phase(status, refused=Phase.REQUEST_REJECTED)
    return reading.fault(reply, phase, words, secrets)

"""What WPPConnect Server's answers mean, as recorded from 2.10.4."""

from collections.abc import Sequence

from homing.drivers import reading
from homing.drivers.http.connection import Reply
from homing.model.fleet import ListedSession, SessionId, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt

_STATUSES = {
    "CONNECTED": SessionStatus.CONNECTED,
    "INITIALIZING": SessionStatus.STARTING,
    "QRCODE": SessionStatus.PAIRING,
    "PHONECODE": SessionStatus.PAIRING,
}
_NOT_THERE = "CLOSED"
_INACTIVE = "Disconnected"
_ENGINE_FAILED = "Error on open list"
"""What it answers, with 401, when a chat could not be read (src/controller/deviceController.ts, 2.10)."""
_KEY_WORDS = ("the token is incorrect", "the secret_key is incorrect")


def session_of(reply: Reply, session_id: SessionId, secrets: Sequence[str]) -> ListedSession | Fault:
    """One session by its status. `CLOSED` is said of those that are not known, too.

    Its first word after a start is null.
    """
    told = reading.told_by(reply.body)
    word = told.get("status")
    if "status" not in told or not (word is None or isinstance(word, str)):
        return reading.malformed(reply, "the answer about a session told no status", secrets)
    if word is None:
        return ListedSession(session_id, SessionStatus.STARTING)
    if word.upper() == _NOT_THERE:
        return Fault(Phase.SESSION_NOT_FOUND, "it is closed, or not known", reply.status)
    status = _STATUSES.get(word.upper(), SessionStatus.UNKNOWN)
    return ListedSession(session_id, status, surely_unlinked=status is SessionStatus.PAIRING)


def names_of(reply: Reply) -> list[object] | Fault:
    said = reading.told_by(reply.body).get("response")
    if not isinstance(said, list):
        return reading.malformed(reply, "the answer to a list was not a list of sessions")
    return said


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    """The id of the one message. A success with an empty list says nothing of any."""
    said = reading.part(reading.said_by(reply.body), "response")
    first = said[0] if isinstance(said, list) and said else None
    message_id = reading.id_of(reading.part(first, "id"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    return Receipt(message_id, reading.unix_s(reading.part(first, "timestamp")))


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is.

    That a number does not exist is answered with 400, and the message is sent all the same: so no 400 proves anything.
    """
    told = reading.told_by(reply.body)
    words = reading.told_words(reply)
    match reply.status:
        case 404 if told.get("status") == _INACTIVE:
            # It names the session only if there is one, which then is not connected.
            phase = Phase.SESSION_NOT_READY if reading.text(told.get("session")) else Phase.SESSION_NOT_FOUND
        case 401 if told.get("response") == _ENGINE_FAILED:
            phase, words = Phase.SERVER_ERROR, _ENGINE_FAILED
        case 400 if words.lower().startswith(_KEY_WORDS):
            phase = Phase.UNAUTHORISED
        case 400 | 422 if not told or reading.is_garbled(words):
            phase = Phase.MISDIRECTED
        case status:
            phase = reading.plain_phase(status, refused=Phase.OUTCOME_UNKNOWN)
    return reading.fault(reply, phase, words, secrets)

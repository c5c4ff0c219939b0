"""What baileys-api's answers mean, as recorded from 1.0.0 of 2026-07-05; those of its cluster by its documentation.

Most of what it says is a bare sentence.
"""

from collections.abc import Sequence

from homing.drivers import reading
from homing.drivers.http.connection import Reply
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt

_NOT_HELD = ("phone number not connected", "phone number not found")
_OWNER_HEADER = "x-baileys-owner"
_IN_FLIGHT = "message is already being processed"


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    said = reading.part(reading.said_by(reply.body), "data")
    message_id = reading.id_of(reading.part(said, "key"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    return Receipt(message_id, reading.unix_s(reading.part(said, "messageTimestamp")))


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is.

    `Connection Closed` (500) is said of a session that waits to be paired and of one that lost its connection in the
    middle of a send. A worker of its cluster that does not have the session names the one that does, and did nothing.
    """
    words = reading.told_words(reply)
    lowered = words.strip().lower()
    match reply.status:
        case 404 if lowered.startswith(_NOT_HELD):
            phase = Phase.SESSION_NOT_FOUND
        case 409 | 421 if _OWNER_HEADER in reply.headers:
            phase = Phase.UNAVAILABLE
            words = f"another worker of its cluster has the session: {reply.headers[_OWNER_HEADER]}"
        case 409 if lowered == _IN_FLIGHT:
            phase = Phase.OUTCOME_UNKNOWN
        case 422 if reading.told_by(reply.body).get("type") == "validation":
            phase = Phase.REQUEST_REJECTED
            words = "it does not take the request as it is"
        case 400 if lowered == "bad request":
            phase = Phase.MISDIRECTED
        case status:
            phase = reading.plain_phase(status, refused=Phase.OUTCOME_UNKNOWN)
    return reading.fault(reply, phase, words, secrets)

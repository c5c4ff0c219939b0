"""What wuzapi's answers mean, by its source (asternic/wuzapi 79ee4cd, handlers.go); no traffic of it was recorded.

All that it says is wrapped: `{"code", "data", "success"}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homing.drivers import reading
from homing.drivers.http.connection import Reply
from homing.model.fleet import ListedSession, SessionId, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt


@dataclass(frozen=True, slots=True)
class User:
    """What wuzapi calls a session. `token` is the key to it."""

    name: str
    token: str = field(repr=False)
    events: tuple[str, ...] = ()
    phone: str | None = None


def data_of(reply: Reply) -> Any:
    said = reading.said_by(reply.body)
    return said["data"] if isinstance(said, dict) and "data" in said else said


def users_of(reply: Reply) -> list[User | None] | Fault:
    """Row by row; None for one that has no name or no token. A list of them comes bare or wrapped, by version."""
    rows = data_of(reply)
    if not isinstance(rows, list):
        return reading.malformed(reply, "the answer to a list was not a list of users")
    return [_user(row) for row in rows]


def _user(row: object) -> User | None:
    name, token = reading.name_in(reading.part(row, "name")), reading.name_in(reading.part(row, "token"))
    if name is None or token is None:
        return None
    events = reading.text(reading.part(row, "events")) or ""
    wanted = tuple(each.strip() for each in events.split(",") if each.strip())
    return User(name, token, wanted, reading.phone_of(reading.part(row, "jid")))


def session_of(reply: Reply, user: User) -> ListedSession | Fault:
    """By `Connected` and `LoggedIn`, in lower case in newer versions. Connected alone, it shows a code."""
    told = data_of(reply)
    if not isinstance(told, Mapping):
        return reading.malformed(reply, "the answer about a session told nothing of it")
    lowered = {str(name).lower(): value for name, value in told.items()}
    match lowered.get("connected") is True, lowered.get("loggedin") is True:
        case True, True:
            status = SessionStatus.CONNECTED
        case True, False:
            status = SessionStatus.PAIRING
        case False, True:
            status = SessionStatus.DISCONNECTED
        case _:
            status = SessionStatus.STOPPED
    return ListedSession(SessionId(user.name), status, user.phone, surely_unlinked=status is SessionStatus.PAIRING)


def receipt_of(reply: Reply, secrets: Sequence[str]) -> Receipt | Fault:
    told = data_of(reply)
    message_id = reading.name_in(reading.part(told, "Id"))
    if message_id is None:
        return reading.malformed(reply, f"a {reply.status} without a message id", secrets)
    return Receipt(message_id, reading.unix_s(reading.part(told, "Timestamp")))


def fault_of(reply: Reply, secrets: Sequence[str]) -> Fault:
    """The fault that an answer other than 2xx is. 500 stands for everything but a wrong request and a wrong token."""
    words = reading.told_words(reply)
    match reply.status:
        case 500 if words.lower() == "no session":
            phase = Phase.SESSION_NOT_READY
        case 400 if not reading.told_by(reply.body):
            phase = Phase.MISDIRECTED
        case status:
            phase = reading.plain_phase(status, refused=Phase.REQUEST_REJECTED)
    return reading.fault(reply, phase, words, secrets)

"""Is this the first time that a key is used, and which message id belongs to it?"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import assert_never

import msgspec

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.messages import Claimed, InUse, MessageRecord, MessageState, StoredAnswer

MESSAGE_ID_PREFIX = "3EB0"
"""How WhatsApp Web's own message ids begin; the rest is upper-case hexadecimal."""

UNKNOWN_STATUS = 202
_WENT = (MessageState.SENT, MessageState.DELIVERED, MessageState.READ)
QUEUE_MAX = 50
MODEST = 10
"""A workspace that has fewer waiting is not what makes the others wait."""
LONGEST_WAIT_S = 0.5


class Drive(msgspec.Struct, frozen=True):
    """The key is ours. `repeated`: somebody drove it before us and may have sent."""

    message_uuid: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """The key was answered before: give the same answer, with what has become known of its message since."""

    answer: StoredAnswer
    message_uuid: str

    @property
    def is_open(self) -> bool:
        """Whether the answer said that the outcome was unknown: that may have been settled by now."""
        return self.answer.status == UNKNOWN_STATUS


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request with this key is being driven now."""

    message_uuid: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for another message."""

    message_uuid: str


Admission = Drive | Replay | InFlight | Mismatch


def admit(found: Claimed | InUse, fingerprint: str) -> Admission:
    """What to do with a request whose key was just looked up."""
    match found:
        case Claimed(message_uuid=uuid, taken_over=taken_over):
            return Drive(uuid, taken_over)
        case InUse(row=row):
            if row.fingerprint != fingerprint:
                return Mismatch(row.message_uuid)
            return Replay(row.answer, row.message_uuid) if row.answer is not None else InFlight(row.message_uuid)
        case _:
            assert_never(found)


def settled(answer: StoredAnswer, record: MessageRecord | None) -> StoredAnswer:
    """The answer of an unknown outcome, as it reads now that the message's record says more.

    Its time is that of the send: when WhatsApp took it is not told by what settled it.
    """
    if record is None or record.state not in _WENT:
        return answer
    common = {name: value for name, value in answer.body.items() if name not in ("outcome", "detail", "state")}
    data = {"message_id": record.message_id, "timestamp": int(record.created_at.timestamp())}
    return StoredAnswer(200, common | {"success": True, "data": data, "detail": record.reason})


def hopeless(waiting: int, of_workspace: int, longest_s: float) -> str | None:
    """Why one more should not wait until it is known whether its key is new; None if it may.

    If those who came long ago wait still, whoever queues behind them would be served after he gave up, and the store
    would do nothing any more that is of use to anybody. That is held against those alone of whom many wait.
    """
    if waiting < QUEUE_MAX or of_workspace < MODEST or longest_s <= LONGEST_WAIT_S:
        return None
    whose = f"{of_workspace} of them of this workspace"
    return f"{waiting} sends wait for the database, {whose}, the first for {longest_s:.1f} s"


def fingerprint(canonical_body: bytes) -> str:
    """What makes two requests the same request."""
    return hashlib.sha256(canonical_body).hexdigest()


def derived_message_id(secret: bytes, workspace: WorkspaceId, account: AccountUuid, key: str) -> str:
    """The WhatsApp message id of a keyed send: the same from every gateway that knows the secret."""
    material = f"{workspace}\x00{account}\x00{key}".encode()
    return message_id(hmac.digest(secret, material, "sha256"))


def message_id(material: bytes) -> str:
    """A WhatsApp message id from at least nine bytes."""
    return MESSAGE_ID_PREFIX + material[:9].hex().upper()

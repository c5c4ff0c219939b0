"""The record of a send that did not simply succeed, and of an idempotency key in use."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from homing.model.fleet import AccountUuid, InstanceUrl, WorkspaceId


class MessageState(StrEnum):
    """Where a recorded message stands."""

    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One recorded message. `code` and `reason` say why it is where it is.

    `recipient_phone` has the digits that it was sent to, `phone_as_written` what the caller gave.
    """

    uuid: str
    workspace_id: WorkspaceId
    account_uuid: AccountUuid
    message_id: str
    recipient_phone: str
    text: str
    state: MessageState
    code: str | None
    reason: str
    attempts: int
    instance_url: InstanceUrl | None
    created_at: datetime
    updated_at: datetime
    phone_as_written: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer once given for an idempotency key, to be given again word for word."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyedSend:
    """The row of one idempotency key: what it was used for, who drives it, and its answer once there is one."""

    workspace_id: WorkspaceId
    key: str
    fingerprint: str
    message_uuid: str
    owner: str
    lease_until: datetime
    expires_at: datetime
    answer: StoredAnswer | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is ours to drive. `taken_over`: a gateway drove it before us and may have sent."""

    message_uuid: str
    taken_over: bool


@dataclass(frozen=True, slots=True)
class InUse:
    """The key's row as it stands, held by somebody else or finished."""

    row: KeyedSend

"""The record of a send that did not simply succeed, and of an idempotency key in use."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from homing.model.fleet import AccountUuid, InstanceUrl, WorkspaceId


class MessageState(StrEnum):
    """Where a recorded message stands."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    """It will be sent: its turn, its time or its session is waited for."""
    HELD = "held"
    """It was accepted before its account was paired anew, and waits until somebody says go."""
    DISPATCHING = "dispatching"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


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
    content: dict[str, Any] | None = None
    """What it says, as `content_json` writes it; None of a plain text that was never in the outbox."""
    send_at: datetime | None = None
    """Of a message of the outbox: not before then."""
    expires_at: datetime | None = None
    batch_id: str | None = None
    trace_id: str | None = None
    """The trace of the request that it came with, if its caller named one."""


class StoredAnswer(msgspec.Struct, frozen=True):
    """An answer once given for an idempotency key, to be given again word for word."""

    status: int
    body: dict[str, Any]

    def naming(self, message_uuid: str) -> "StoredAnswer":
        """The same, about this message."""
        return StoredAnswer(self.status, {**self.body, "message_uuid": message_uuid})


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


class Claimed(msgspec.Struct, frozen=True):
    """The key is ours to drive. `taken_over`: a gateway drove it before us and may have sent."""

    message_uuid: str
    taken_over: bool


@dataclass(frozen=True, slots=True)
class InUse:
    """The key's row as it stands, held by somebody else or finished."""

    row: KeyedSend

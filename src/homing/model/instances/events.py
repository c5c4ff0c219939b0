"""What instances report of their sessions, as it is kept."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, WorkspaceId


@dataclass(frozen=True, slots=True)
class Report:
    """One event as an instance told it, before it is stored.

    `kind` is the instance's own word and `data` all that came with it. `instance_url` is None where the sender did not
    say which instance it is. `sender_id` is the sender's own id of the event, where it gave one.
    """

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    session_id: SessionId | None = None
    instance_url: InstanceUrl | None = None
    sender_id: str | None = None
    occurred_at: datetime | None = None
    size: int = field(default=0, compare=False)
    """Bytes of the body that it came in."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What makes two reports the same event: the same key within so many seconds.

    A report that is news ends the meanings of its session whose keys begin with `ends`, if anything is named there: a
    session that was ready, then lost, then ready again tells something new each time.
    """

    key: str
    window_s: float
    ends: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. Whose it is was looked up by its session, not taken from the report.

    `sequence` rises from event to event; an event of an unknown session belongs to no workspace. `payload` is the
    report's data, with what is very long left out.
    """

    sequence: int
    id: str
    received_at: datetime
    occurred_at: datetime | None
    kind: str
    session_id: SessionId | None
    account_uuid: AccountUuid | None
    workspace_id: WorkspaceId | None
    instance_url: InstanceUrl | None
    payload: dict[str, Any]


class IntakeResult(StrEnum):
    """What became of one report."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REPLAY = "replay"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    UNKNOWN_INSTANCE = "unknown_instance"
    MALFORMED = "malformed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    """A report that is in the store, now or already: `event` is there if it is news."""

    result: IntakeResult
    event_id: str
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature that came with a report, and how long it could be sent again and still be in time."""

    signature: str
    until_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryEvidence:
    """What a report says of a message that its session sent. `text` is None where it names the message by id alone.

    `recipient_hidden`: it went to an address that has no number in it (`…@lid`), so to anybody.
    """

    kind: str
    session_id: SessionId
    message_id: str | None
    recipient_phone: str | None
    text: str | None
    recipient_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """An unknown send turned out to be sent: under this id of WhatsApp's, and why we believe it."""

    message_uuid: str
    message_id: str
    reason: str

"""What instances report of their sessions, as it is kept."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, WorkspaceId


class EventKind(StrEnum):
    """What happened, in one set of words for all gateway families. They are those of the webjs service, and stored.

    A payload has `session_id`, the gateway's own name for it. Of a message that arrived or went out it has `message`:
    `{id, from, to, body, from_me, type, timestamp, has_media, chat_type}`, with `participant` in groups and
    `media: {mimetype, filename, url}` where there is some. Of how far one got: `message_id`, `status` (pending, sent,
    delivered, read, played, failed) and `ack_level` (1 to 5, 0 for failed; from 2 on WhatsApp has it).
    """

    SESSION_READY = "session_ready"
    """It can send; `phone_number` where it is told."""
    SESSION_AUTHENTICATED = "session_authenticated"
    SESSION_RECONNECTED = "session_reconnected"
    SESSION_STATUS_CHANGED = "session_status_changed"
    SESSION_STARTING = "session_starting"
    SESSION_PAIRING = "session_pairing"
    """It waits for a person, and the report has no code."""
    SESSION_DISCONNECTED = "session_disconnected"
    """`reason`: LOGOUT where WhatsApp has ended the link."""
    SESSION_ERROR = "session_error"
    SESSION_MARKED_DISCONNECTED = "session_marked_disconnected"
    QR_CODE = "qr_code_generated"
    """`qr_code`: a text or a picture."""
    MESSAGE_RECEIVED = "message_received"
    MESSAGE_SENT = "message_sent"
    """From this session, by whomever: us, another program, or a person on the phone."""
    MESSAGE_STATUS = "message_status_updated"
    MESSAGE_DELIVERED = "message_delivered"
    MESSAGE_READ = "message_read"
    MESSAGE_REACTION = "message_reaction"
    MESSAGE_REVOKED = "message_revoked"
    MESSAGE_EDITED = "message_edited"
    CALL_RECEIVED = "call_received"
    PRESENCE_CHANGED = "presence_changed"
    CHATS_SYNC = "chats_sync"
    GATEWAY_EVENT = "gateway_event"
    """A gateway of another family said a word that none of the above means: `event` is the word."""


ACK_WORDS = ("failed", "pending", "sent", "delivered", "read", "played")
"""How far a message got, by its `ack_level`."""


@dataclass(frozen=True, slots=True)
class Report:
    """One event as an instance told it, before it is stored.

    `kind` is a word of `EventKind`; a webjs service may say others, which are kept as it says them. `data` is what came
    with it. `instance_url` is None where the sender did not
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
    namesakes: tuple[SessionId, ...] = field(default=(), compare=False)
    """Other sessions that are called so somewhere: it may be one of them that came. Reasons to look, and no more."""


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
    trace_id: str | None = None
    """The trace that its instance named."""


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
    reached: str = "sent"
    """How far it came: `sent` to WhatsApp, `delivered` to the person's phone, or `read`."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """An unknown send turned out to be sent: under this id of WhatsApp's, and why we believe it."""

    message_uuid: str
    message_id: str
    reason: str

"""What an instance tells the world about its sessions, unasked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from homing.instance.engine import CameWith


class Status(StrEnum):
    """How a session is, in the Node service's words (SessionManager), and ``logged_out``.

    Only ``connected`` can send. A session being restored has no status yet.
    """

    QR_SCANNING = "qr_scanning"
    AUTHENTICATED = "authenticated"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ERROR = "error"
    LOGGED_OUT = "logged_out"


@dataclass(frozen=True, slots=True)
class EventSubject:
    """Whose event it is."""

    session_id: str
    workspace_id: int | None
    epoch: int


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The session is in another state than before; ``error`` says why, where it is a bad one.

    ``reconnected``: it is connected, and was so before under the same grant.
    """

    about: EventSubject
    status: Status
    phone_number: str | None
    error: str | None
    reconnected: bool = False


@dataclass(frozen=True, slots=True)
class CodeIssued:
    """The session waits for a phone to accept this code. ``typed``: it cannot be scanned."""

    about: EventSubject
    code: str
    expires_in_s: float
    typed: bool = False


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Someone wrote to the session, whose own number is ``phone_number``.

    WhatsApp forgets the message once the listener returned without an error.
    """

    about: EventSubject
    id: str
    sender: str
    text: str
    at: str
    phone_number: str | None = None
    file: CameWith | None = None


@dataclass(frozen=True, slots=True)
class MessageSent:
    """WhatsApp acknowledged a message of the session."""

    about: EventSubject
    message_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class SessionLeft:
    """This instance does not hold the session any more. ``current_epoch`` was granted elsewhere, if that is known."""

    about: EventSubject
    current_epoch: int | None


HostEvent = StatusChanged | CodeIssued | MessageReceived | MessageSent | SessionLeft
OnHostEvent = Callable[[HostEvent], Awaitable[None]]

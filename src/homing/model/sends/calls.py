"""What is told to an instance, and what it tells of itself."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from homing.model.fleet import Capabilities, Epoch, SessionId, WorkspaceId
from homing.model.sends.addresses import Address
from homing.model.sends.content import Content, TextContent
from homing.model.sessions.exit_proxies import ExitProxy


@dataclass(frozen=True, slots=True)
class InstanceHealth:
    """What an instance says of itself. `incarnation` is None where the gateway does not tell its boots apart."""

    capabilities: Capabilities
    incarnation: str | None = None
    engine: str | None = None
    version: str | None = None
    sessions_total: int | None = None
    sessions_connected: int | None = None
    memory_used_mb: float | None = None
    sends_per_s: float | None = None
    uptime_s: float | None = None
    """For how long its process has been running, where it tells."""
    unchecked: str | None = None
    """Why its version may not be spoken to rightly: the driver was checked against others."""
    paused: bool = False
    """It holds no lease at the moment and does not act, but keeps its connections."""
    key_header: str | None = None
    """Where it reads our key from, if it tells."""
    says_at: datetime | None = None
    """What its clock said, to the second, when it answered."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """What an instance must know to open a session. `epoch` is the grant it opens under."""

    session_id: SessionId
    workspace_id: WorkspaceId
    account_id: int
    epoch: Epoch
    proxy: ExitProxy | None = None
    """By which it is to go out; None: its account has none."""
    typed_for: str | None = None
    """Into whose phone a code is to be typed, in digits, where one is asked for; None: one to scan."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """What a person scans or types to link the device. `qr` is the QR code's text, or an image as a data URL."""

    qr: str | None
    code: str | None
    expires_in_s: int
    connected: bool = False
    """Its phone is linked: there is nothing to scan."""


@dataclass(frozen=True, slots=True)
class NumberChecked:
    """A gateway's word on whether a number is on WhatsApp, and under which address; None where it does not say that."""

    exists: bool
    address: Address | None = None


class MediaSource(Protocol):
    """One file on its way out, in whichever form a gateway takes it."""

    @property
    def url(self) -> str:
        """An address of ours from which the gateway may read it, for a while."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, from the beginning, in pieces. Raises MediaUnavailable where it cannot be read."""
        ...


class MediaUnavailable(Exception):
    """A file could not be read or kept. The message says why."""


class OutgoingText(msgspec.Struct, frozen=True):
    """What an instance must know to send. The epoch is the one we believe to be the session's.

    `recipient_phone` is the recipient's address as one text.
    """

    session_id: SessionId
    workspace_id: WorkspaceId
    recipient_phone: str
    text: str
    message_id: str
    epoch: Epoch
    content: Content | None = None
    """What is said; None: the plain text."""
    file: MediaSource | None = None
    """The bytes of a content that has a file."""

    @property
    def recipient(self) -> Address:
        return Address.of(self.recipient_phone)

    @property
    def said(self) -> Content:
        return self.content if self.content is not None else TextContent(self.text)

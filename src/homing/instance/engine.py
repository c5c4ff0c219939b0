"""What the session host needs of an engine, in the words of this field.

An engine session is one device's connection to WhatsApp. Everything that comes over that connection is an event,
given to ``on_event`` in the order of arrival; ``Closed`` is the last one, whoever closed the connection.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from homing.model.fleet import Capabilities
from homing.model.instances.vault import Login
from homing.model.sessions.exit_proxies import ExitProxy


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it goes over the wire; sent again, it is the same frame.

    ``content`` is what it says beyond the text, as ``homing.model.sends.content_json`` writes it down; None for a
    plain text. ``media_sha256`` is of a file that it has, which was uploaded before.
    """

    counter: int
    message_id: str
    recipient: str
    text: str
    content: Mapping[str, Any] | None = None
    media_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """WhatsApp has the frame with this counter."""

    counter: int


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """WhatsApp does not take the frame with this counter; ``code`` is its error number, where it has one."""

    counter: int
    reason: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """Someone wrote to the session. It is offered again after a reconnection until ``received`` names it."""

    id: str
    sender: str
    text: str
    at: str


@dataclass(frozen=True, slots=True)
class Paired:
    """A phone accepted the pairing code; this is the new device's login."""

    login: Login


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another connection logged in with our credentials, and this one counts no more."""


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """The phone unlinked us: the credentials are worth nothing now."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone."""


EngineEvent = Acknowledged | FrameRefused | Inbound | Paired | Replaced | DeviceRemoved | Closed
OnEvent = Callable[[EngineEvent], None]


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The connection is live. ``renewed`` is to be saved, then confirmed."""

    phone_number: str | None
    renewed: Login | None = None


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """WhatsApp refuses the credentials for good. ``known`` is False if it does not know the device at all."""

    reason: str
    known: bool


@dataclass(frozen=True, slots=True)
class StaleLogin:
    """The credentials are older than those of a later login: another holder has used them since."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """Too many logins at the moment; worth another attempt in ``retry_after_s``."""

    retry_after_s: float


LoginAnswer = LoggedIn | LoggedOut | StaleLogin | Throttled


@dataclass(frozen=True, slots=True)
class EnginePairingCode:
    """What a phone must scan or type, and for how long that works."""

    code: str
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Label:
    """Who is behind a connection, told to WhatsApp at login and written beside each message."""

    instance_url: str
    epoch: int


class EngineSession(Protocol):
    """One open connection. Every method that waits raises ``ConnectionError`` when the connection goes first."""

    async def login(self, login: Login, *, next_counter: int, label: Label) -> LoginAnswer: ...

    def confirm(self, renewed: Login) -> None:
        """The renewed login is saved."""

    async def pair(self, session_id: str) -> EnginePairingCode:
        """A code for a phone to accept; ``Paired`` follows. An earlier code of this session is void."""

    async def upload(self, pieces: AsyncIterator[bytes]) -> str:
        """Give WhatsApp a file, and the SHA-256 of its bytes in hex. A message that names it may follow."""

    def transmit(self, frame: Frame) -> None:
        """Put the frame on the wire now. ``Acknowledged`` or ``FrameRefused`` follows, or ``Closed``."""

    def received(self, inbound_id: str) -> None:
        """The inbound message is safe: WhatsApp may forget it."""

    async def logout(self) -> None:
        """Unlink the device."""

    def close(self) -> None: ...


class Engine(Protocol):
    """A way of being a WhatsApp device."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def connect(self, on_event: OnEvent, proxy: ExitProxy | None = None) -> EngineSession:
        """A new connection, not logged in, by this exit proxy; one is only given where ``takes_proxy`` is declared.

        Raises ``OSError`` when WhatsApp cannot be reached so: there is no other way out.
        """

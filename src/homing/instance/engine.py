"""What the session host needs of an engine, in the words of this field.

An engine session is one device's connection to WhatsApp. Everything that comes over that connection is an event,
given to ``on_event`` in the order of arrival; ``Closed`` is the last one, whoever closed the connection.

What the engine does in memory is durable before anybody outside sees anything of it. It seals a message (encrypts it,
and says which keys changed by that), the host commits keys and bytes in one step under its grant, and only then the
bytes are transmitted. What comes in is decrypted, the host commits message and keys in one step, and only then the
engine acknowledges it.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from homing.model.fleet import Capabilities
from homing.model.instances.vault import Login, SessionKey
from homing.model.sends.content import MessageType
from homing.model.sends.signs import ChatSign
from homing.model.sessions.exit_proxies import ExitProxy


@dataclass(frozen=True, slots=True)
class Message:
    """What someone wants said. ``recipient`` is an address as one text; the id is WhatsApp's id of the message.

    ``content`` is what it says beyond the text, as ``homing.model.sends.content_json`` writes it down; None for a
    plain text. ``file`` is the reference of a file that it has, which was uploaded before.
    """

    message_id: str
    recipient: str
    text: str
    content: Mapping[str, Any] | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that WhatsApp has: the SHA-256 of its bytes in hex, and what a message of this engine names it by."""

    sha256: str
    reference: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it goes over the wire; sent again, it is the same frame. ``sealed`` is as in ``seal``."""

    counter: int
    message_id: str
    sealed: bytes


class SealRefused(Exception):
    """WhatsApp, or the engine, does not take this message; nothing of it left. ``code`` is WhatsApp's error number."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


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


class FileGone(Exception):
    """WhatsApp does not have the file that a message came with, or not any more."""


@dataclass(frozen=True, slots=True)
class CameWith:
    """The file that a message came with. By its ``reference`` any connection of the session finds it at WhatsApp."""

    reference: str
    mime_type: str
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Inbound:
    """Someone wrote to the session. It is offered again after a reconnection until ``received`` names it.

    With a ``digest``, keys were changed by reading it: the host must keep it, in the same step as those. Without a
    text there is nothing to tell of it.
    """

    id: str
    sender: str
    text: str | None
    at: str
    digest: str = ""
    file: CameWith | None = None


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


@dataclass(frozen=True, slots=True)
class PairingFailed:
    """No phone was linked over this connection, and why, for whoever tries. ``final``: nor will one over the next."""

    reason: str
    final: bool = False


EngineEvent = Acknowledged | FrameRefused | Inbound | Paired | PairingFailed | Replaced | DeviceRemoved | Closed
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
    """Not let in at the moment, for this reason where it is not just too many logins; worth another attempt in
    ``retry_after_s``."""

    retry_after_s: float
    reason: str = ""


class NotLetIn(ConnectionError):
    """WhatsApp ends the connection before it begins, for a reason that whoever waits for the session should know."""


LoginAnswer = LoggedIn | LoggedOut | StaleLogin | Throttled


@dataclass(frozen=True, slots=True)
class EnginePairingCode:
    """What a phone must scan or type, and for how long that works. ``typed``: it cannot be scanned."""

    code: str
    expires_in_s: float
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """Who is behind a connection, told to WhatsApp at login and written beside each message."""

    instance_url: str
    epoch: int


class DeviceState(Protocol):
    """What the vault keeps of one device beside its login. A vault that is away is waited for, and never reported."""

    async def get(self, kind: str, ids: Collection[str]) -> dict[str, bytes]:
        """Those of these keys that there are, by their ids; what was ``changed`` is seen at once."""

    def changed(self, keys: Sequence[SessionKey]) -> None:
        """A part of the next step, whatever that is about: a later state of a ratchet contains the earlier ones."""

    async def committed(self, login: Login | None = None) -> bool:
        """Whether all that changed until now, and the login, is durable. Not if the grant is over: then nothing more
        may leave, not even a refusal."""

    async def had(self, message_id: str, digest: str) -> bool:
        """Whether this very message was kept before. Returns once there is room for another one."""


class EngineSession(Protocol):
    """One open connection. Every method that waits raises ``ConnectionError`` when the connection goes first."""

    async def login(self, login: Login, *, next_counter: int, label: Label) -> LoginAnswer: ...

    def confirm(self, renewed: Login) -> None:
        """The renewed login is saved."""

    async def pair(self, session_id: str, phone: str | None = None) -> EnginePairingCode:
        """A code for a phone to accept; ``Paired`` follows, or ``PairingFailed``. An earlier code may be void.

        With ``phone`` a code to type into that one, where the capability ``typed_codes`` is declared.
        """

    async def upload(self, pieces: AsyncIterator[bytes], kind: MessageType) -> Uploaded:
        """Give WhatsApp a file for a message of this kind, which may follow. Raises whatever reading it raises, too."""

    def download(self, reference: str) -> AsyncIterator[bytes]:
        """The bytes of a file that a message came with, where ``fetch_files`` is declared. Raises FileGone."""

    async def seal(self, message: Message) -> bytes:
        """The message as it goes over the wire, a frame as ``instance.frames`` has it. What that changes of keys was
        told to the device's state before this returns. Raises SealRefused."""

    def transmit(self, frame: Frame) -> None:
        """Put the frame on the wire now. ``Acknowledged`` or ``FrameRefused`` follows, or ``Closed``."""

    def received(self, inbound_id: str) -> None:
        """The inbound message is safe: WhatsApp may forget it."""

    async def show(self, sign: ChatSign) -> None:
        """Show it to a chat, where the capability is declared that it needs. Raises ConnectionError if it was not."""

    async def logout(self) -> None:
        """Unlink the device."""

    def close(self) -> None: ...


class Engine(Protocol):
    """A way of being a WhatsApp device."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def connect(self, on_event: OnEvent, state: DeviceState, proxy: ExitProxy | None = None) -> EngineSession:
        """A new connection, not logged in, by this exit proxy; one is only given where ``takes_proxy`` is declared.

        Raises ``OSError`` when WhatsApp cannot be reached so: there is no other way out.
        """

    async def close(self) -> None:
        """End what the engine runs beside its connections."""

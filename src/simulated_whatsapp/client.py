"""Speaking to a simulated WhatsApp: as a device, or as its administration.

``Device`` is one connection. Whatever arrives unasked is given to its ``on_event``; the last event of a
connection is ``Closed``, whoever closed it.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from simulated_whatsapp.core import (
    DeviceCredentials,
    DeviceRemoved,
    InboundMessage,
    Paired,
    PairingCode,
    Replaced,
)
from simulated_whatsapp.exchange import Frame
from simulated_whatsapp.wire import Dial, Wire, tcp


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone; questions without an answer stay without one."""


ClientEvent = Replaced | DeviceRemoved | Paired | InboundMessage | Closed
OnEvent = Callable[[ClientEvent], None]
OnReply = Callable[[Frame], None]
UPLOAD_PIECE_BYTES = 256 * 1024


class RefusedByWhatsApp(Exception):
    """WhatsApp said no. ``reason`` is one of ``core.Refusal`` or ``bad_frame``."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.get("reason", "unknown"))
        self.reason: str = frame.get("reason", "unknown")
        self.code: int | None = frame.get("code")
        self.retry_after_s: float = frame.get("retry_after_s", 0.0)


@dataclass(frozen=True, slots=True)
class Login:
    """What a login brought: the phone, the credentials to save and to confirm, the messages that waited."""

    phone: str
    renewed: DeviceCredentials
    waiting: tuple[InboundMessage, ...]


class Conversation:
    """Questions and their answers over one wire. Frames leave in the order of the calls."""

    def __init__(self, on_push: Callable[[Frame], None], on_closed: Callable[[], None]) -> None:
        self._on_push = on_push
        self._on_closed = on_closed
        self._wire: Wire | None = None
        self._asked = 0
        self._open: dict[int, OnReply] = {}
        self._waiting: dict[asyncio.Future[Frame], None] = {}

    async def connect(self, dial: Dial) -> None:
        """Open the wire. Raises ``OSError`` when nobody answers there."""
        self._wire = await dial(self._arrived, self._closed)

    def post(self, frame: Frame, on_reply: OnReply | None = None) -> None:
        """Send a frame now; ``on_reply`` gets its answer, unless the connection closes first."""
        if on_reply is not None:
            self._asked += 1
            self._open[self._asked] = on_reply
            frame["ref"] = self._asked
        if self._wire is not None:
            self._wire.send(frame)

    async def ask(self, frame: Frame) -> Frame:
        """The answer to a frame. Raises ``RefusedByWhatsApp``, or ``ConnectionError`` if the wire closes first."""
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        if self._wire is None:
            raise ConnectionError("the connection to WhatsApp is closed")
        self._waiting[answer] = None
        self.post(frame, lambda reply: None if answer.done() else answer.set_result(reply))
        try:
            reply = await answer
        finally:
            self._waiting.pop(answer, None)
        if not reply["ok"]:
            raise RefusedByWhatsApp(reply)
        return reply

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _arrived(self, frame: Frame) -> None:
        if "push" in frame:
            self._on_push(frame)
            return
        on_reply = self._open.pop(frame.get("ref", 0), None)
        if on_reply is not None:
            on_reply(frame)

    def _closed(self) -> None:
        self._wire = None
        self._open.clear()
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(ConnectionError("the connection to WhatsApp closed"))
        self._on_closed()


class Device:
    """One device's connection."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._uploads = 0
        self._conversation = Conversation(self._pushed, lambda: on_event(Closed()))

    async def connect(self, dial: Dial) -> Self:
        """Open the wire. Raises ``OSError`` when nobody answers there."""
        await self._conversation.connect(dial)
        return self

    async def login(self, credentials: DeviceCredentials, *, next_counter: int, label: Any = None) -> Login:
        """Become the device's only connection. Raises ``RefusedByWhatsApp`` or ``ConnectionError``."""
        reply = await self._conversation.ask(
            {"do": "login", "credentials": asdict(credentials), "next_counter": next_counter, "label": label}
        )
        waiting = tuple(InboundMessage(**message) for message in reply["waiting"])
        return Login(reply["phone"], DeviceCredentials(**reply["credentials"]), waiting)

    def confirm(self, renewed: DeviceCredentials) -> None:
        """The renewed credentials are saved: WhatsApp refuses older copies from now on."""
        self._conversation.post({"do": "confirm", "version": renewed.version})

    async def pair(self, session_id: str, phone: str | None = None) -> PairingCode:
        """Ask for a code; ``Paired`` follows as an event once a phone accepted it."""
        reply = await self._conversation.ask({"do": "pair", "session_id": session_id, "phone": phone})
        return PairingCode(reply["code"], reply["expires_at"])

    def transmit(
        self,
        message_id: str,
        recipient: str,
        text: str,
        counter: int,
        on_reply: OnReply,
        content: Mapping[str, Any] | None = None,
        media_sha256: str | None = None,
    ) -> None:
        """Put a message on the wire now; ``on_reply`` gets the answer frame, unless the connection closes first."""
        more = {"content": content, "media_sha256": media_sha256}
        said = {name: value for name, value in more.items() if value is not None}
        self._conversation.post(_message(message_id, recipient, text, counter) | said, on_reply)

    async def upload(self, pieces: AsyncIterator[bytes]) -> tuple[str, int]:
        """The SHA-256 and the size of a file, as WhatsApp found them. Raises ``RefusedByWhatsApp`` or
        ``ConnectionError``, and whatever reading the pieces raises."""
        self._uploads += 1
        frame = {"do": "upload", "upload": str(self._uploads), "last": False}
        async for piece in pieces:
            for at in range(0, len(piece), UPLOAD_PIECE_BYTES):
                data = base64.b64encode(piece[at : at + UPLOAD_PIECE_BYTES]).decode()
                await self._conversation.ask({**frame, "data": data})
        whole = await self._conversation.ask({**frame, "data": "", "last": True})
        return whole["sha256"], whole["size"]

    async def download(self, sha256: str) -> AsyncIterator[bytes]:
        """A file that somebody sent to the device, in pieces. Raises ``RefusedByWhatsApp`` or ``ConnectionError``."""
        at = 0
        while True:
            reply = await self._conversation.ask({"do": "download", "sha256": sha256, "at": at})
            piece = base64.b64decode(reply["data"])
            if not piece:
                return
            at += len(piece)
            yield piece

    async def send(self, message_id: str, recipient: str, text: str, counter: int) -> str:
        """When the message reached its recipient (ISO-8601). Raises ``RefusedByWhatsApp`` or ``ConnectionError``."""
        reply = await self._conversation.ask(_message(message_id, recipient, text, counter))
        at: str = reply["at"]
        return at

    def received(self, inbound_id: str) -> None:
        """The inbound message is safe here: WhatsApp may forget it."""
        self._conversation.post({"do": "received", "id": inbound_id})

    async def logout(self) -> None:
        """Unlink this device. Raises ``RefusedByWhatsApp`` or ``ConnectionError``."""
        await self._conversation.ask({"do": "logout"})

    def close(self) -> None:
        self._conversation.close()

    def _pushed(self, frame: Frame) -> None:
        match frame["push"]:
            case "replaced":
                self._on_event(Replaced())
            case "device_removed":
                self._on_event(DeviceRemoved())
            case "paired":
                self._on_event(Paired(DeviceCredentials(**frame["credentials"])))
            case "inbound":
                message = {name: frame[name] for name in ("id", "sender", "text", "at")}
                self._on_event(InboundMessage(**message, file=frame.get("file")))
            case _:
                pass  # a push of a newer server; nothing that this device waits for


class Administration:
    """The tester's and the demo's hand on a simulated WhatsApp: ``async with Administration(address) as whatsapp``."""

    def __init__(self, address: str) -> None:
        self._dial = tcp(address)
        self._kept = 0
        self._conversation = Conversation(lambda _: None, lambda: None)

    async def __aenter__(self) -> Self:
        await self._conversation.connect(self._dial)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._conversation.close()

    async def preregister(self, devices: Iterable[tuple[str, str]]) -> list[DeviceCredentials]:
        """Link many (session id, phone) pairs at once; their credentials in the same order."""
        reply = await self._conversation.ask({"do": "preregister", "devices": [list(pair) for pair in devices]})
        return [DeviceCredentials(**given) for given in reply["credentials"]]

    async def link(self, code: str, phone: str | None = None) -> str:
        """Scan a pairing code with a phone; the session that it belonged to."""
        reply = await self._conversation.ask({"do": "link", "code": code, "phone": phone})
        session_id: str = reply["session_id"]
        return session_id

    async def deliver(self, session_id: str, sender: str, text: str, file: Mapping[str, Any] | None = None) -> None:
        """Write to a device as someone else; ``file`` is what ``keep`` answered."""
        said = {"session_id": session_id, "sender": sender, "text": text}
        await self._conversation.ask({"do": "deliver", **said, **({} if file is None else {"file": file})})

    async def keep(self, data: bytes, mime_type: str, file_name: str = "") -> dict[str, Any]:
        """Give it a file that people may send from now on, and how ``deliver`` names it."""
        self._kept += 1
        frame = {"do": "keep", "upload": str(self._kept), "last": False}
        for at in range(0, len(data), UPLOAD_PIECE_BYTES):
            piece = base64.b64encode(data[at : at + UPLOAD_PIECE_BYTES]).decode()
            await self._conversation.ask({**frame, "data": piece})
        whole = await self._conversation.ask({**frame, "data": "", "last": True})
        return {"sha256": whole["sha256"], "size": whole["size"], "mime_type": mime_type, "file_name": file_name}

    async def remove_device(self, session_id: str) -> None:
        """Unlink a device from its phone."""
        await self._conversation.ask({"do": "remove_device", "session_id": session_id})

    async def configure(
        self,
        *,
        drop_repeats: bool | None = None,
        login_delay_s: float | None = None,
        logins_per_second: float | None = None,
        restricted: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Switch rules while it runs; what is not named stays. The rules as they are now."""
        wanted = {
            "drop_repeats": drop_repeats,
            "login_delay_s": login_delay_s,
            "logins_per_second": logins_per_second,
            "restricted": restricted,
        }
        named = {name: value for name, value in wanted.items() if value is not None}
        reply = await self._conversation.ask({"do": "set", **named})
        return {name: reply[name] for name in wanted}

    async def stats(self) -> dict[str, Any]:
        """Figures since the start, as ``core.Stats`` names them."""
        stats: dict[str, Any] = (await self._conversation.ask({"do": "stats"}))["stats"]
        return stats


def _message(message_id: str, recipient: str, text: str, counter: int) -> Frame:
    return {"do": "send", "message_id": message_id, "recipient": recipient, "text": text, "counter": counter}

"""What the models have in common: sessions, a server, and the faults of a bad day."""

import asyncio
import itertools
import json
import secrets
import time
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from aiohttp import web

PHONE = "628000000009"


@dataclass
class Session:
    """One session. `up`: its phone is linked and WhatsApp connected; `paired`: its login is there.

    `dead`: its engine is gone, and the gateway has not noticed.
    """

    name: str
    open: bool = True
    paired: bool = False
    dead: bool = False
    removed: bool = False
    """The phone removed the device."""
    phone: str = PHONE
    proxy: str | None = None
    """By which it goes out, as it was told: `host:port`."""
    mute: bool = False
    """It is called connected; nothing that it would tell is told, and what it sends stays where it is."""
    cut_off: bool = False
    """Its proxy does not answer: it does not come up, and does not go out otherwise."""
    code: str | None = None
    """The code that links a phone, where there is a WhatsApp to ask for one."""

    @property
    def up(self) -> bool:
        return self.open and self.paired and not self.removed and not self.cut_off

    @property
    def qr(self) -> str:
        return self.code or f"2@code-of-{self.name}"


class WhatsAppLine(Protocol):
    """The way to a WhatsApp, where a model has one."""

    async def send(self, session: Session, message_id: str, recipient: str, text: str) -> None:
        """Put the message on its way. Raises EngineFailed, and EngineDead if there is no connection."""
        ...


class EngineFailed(Exception):
    """The engine threw; `sent`: after the message had left."""


class EngineDead(Exception):
    """The connection or the page is gone."""


Post = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""Posts a body with headers to an address; answers the status."""


@dataclass(frozen=True)
class Told:
    """What befell a session, and is reported. `what`: `up`, `down`, `logged_out`, `qr`, `incoming`, `sent` or `ack`."""

    what: str
    message_id: str = "3EB0AAAABBBBCCCCDDDD"
    person: str = "628000000001"
    text: str = "an incoming text"
    ack: int = 2
    """WhatsApp Web's level: 1 server, 2 device, 3 read."""
    at_s: int = 1796000000
    file: bytes = b""
    """What comes with the message; then the text is its caption."""
    mime_type: str = "image/jpeg"
    file_name: str = "photo.jpg"

    @property
    def chat(self) -> str:
        return f"{self.person}@c.us"

    @property
    def jid(self) -> str:
        return f"{self.person}@s.whatsapp.net"

    @property
    def from_me(self) -> bool:
        return self.what in ("sent", "ack")

    @property
    def long_id(self) -> str:
        """As whatsapp-web.js writes ids."""
        return f"{str(self.from_me).lower()}_{self.chat}_{self.message_id}"


@dataclass
class Shown:
    """One message in a chat of a session, as the gateway's own engine has it. `ack`: WhatsApp Web's level."""

    session: str
    person: str
    message_id: str
    text: str
    at_s: int
    from_me: bool = True
    ack: int = 1
    sha256: str | None = None
    """Of its file, in hex; then the text is its caption."""

    @property
    def filehash(self) -> str | None:
        return b64encode(bytes.fromhex(self.sha256)).decode() if self.sha256 else None

    @property
    def long_id(self) -> str:
        return f"{str(self.from_me).lower()}_{self.person}@c.us_{self.message_id}"

    @property
    def by_web(self) -> dict[str, Any]:
        """As whatsapp-web.js describes it."""
        chat = f"{self.person}@c.us"
        told = {"body": self.text, "from": chat, "to": chat, "fromMe": self.from_me, "ack": self.ack}
        told |= {"timestamp": self.at_s, "hasMedia": self.sha256 is not None}
        told |= {"type": "image" if self.sha256 else "chat"}
        return told | ({"_data": {"filehash": self.filehash}} if self.sha256 else {})

    @property
    def by_baileys(self) -> dict[str, Any]:
        key = {"remoteJid": f"{self.person}@s.whatsapp.net", "fromMe": self.from_me, "id": self.message_id}
        file = {"mimetype": "image/jpeg", "caption": self.text, "fileSha256": self.filehash}
        said = {"imageMessage": file} if self.sha256 else {"conversation": self.text}
        return {"key": key, "message": said, "messageTimestamp": self.at_s}


@dataclass
class Model(ABC):
    """A gateway on a port of its own. `fault` is what befalls every request: it hangs, is garbage, is a page, or
    says back what was asked."""

    key: str = "model-key"
    sessions: dict[str, Session] = field(default_factory=dict)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    """Session, recipient and text of every message that left."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    chats: list[Shown] = field(default_factory=list)
    """What the chats of its sessions show, oldest first."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The files of messages that came in, by the ids of those."""
    forgets: bool = False
    """What it sends from now on is in no chat."""
    fault: str | None = None
    fault_injection: bool = False
    """PUT /faults says what befalls it, as `fault` does."""
    line: WhatsAppLine | None = None
    """Without one the engine is the text of a message."""
    fresh_id: Callable[[], str] = lambda: secrets.token_hex(10).upper()
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    hooks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Where each session reports: `url`, and what its family keeps beside that."""
    post: Post | None = None
    known_as: dict[str, str | None] = field(default_factory=dict)
    """Under which digits WhatsApp has a number; None: nobody is there. All others are there as they are asked for."""
    answered: list[int] = field(default_factory=list)
    """What was answered to its reports."""
    proxies_down: set[str] = field(default_factory=set)
    """Proxies that do not answer, as `host:port`."""
    says_back: bool = False
    """It refuses whatever it is told of a proxy, and says it back."""
    opened_by: list[tuple[str, str | None]] = field(default_factory=list)
    """Session and proxy of every time that one went out to WhatsApp."""
    creates: ClassVar[bool] = True
    """Whether a session that is not known can be made."""

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self._began_s = self.clock()
        self.url = ""
        self.licensed = True

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Where it listens, and what answers there."""

    @abstractmethod
    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        """The answer to a wrong key."""

    def add(self, name: str, **how: Any) -> Session:
        session = self.sessions[name] = Session(name, **how)
        return session

    def whatsapp_has(self, number: str) -> str | None:
        """The digits under which a number is on WhatsApp, if it is."""
        digits = number.partition("@")[0].removeprefix("+")
        return self.known_as.get(digits, digits)

    def goes_out(self, session: Session) -> None:
        """It connects, by its proxy if it has one, and not at all if that does not answer."""
        session.cut_off, session.mute = session.proxy in self.proxies_down, False
        self.opened_by.append((session.name, session.proxy))

    @property
    def uptime_s(self) -> float:
        return self.clock() - self._began_s

    async def start(self, port: int = 0) -> "Model":
        """Begin to serve; at the port of before it is the process begun anew."""
        self._began_s = self.clock()
        app = web.Application(middlewares=[self._befallen])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handle_signals=False, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def _befallen(self) -> Any:
        @web.middleware
        async def befallen(request: web.Request, handler: Any) -> web.StreamResponse:
            if self.fault_injection and request.path == "/faults":
                return await self._befall(request)
            self.asked.append((request.method, request.path_qs))
            match self.fault:
                case "hang":
                    await asyncio.sleep(60)
                case "garbage":
                    return web.Response(body=b'{"half of it', content_type="application/json")
                case "echo":
                    shown = f"{request.path_qs} {dict(request.headers)}"
                    return web.json_response({"error": shown, "message": shown, "success": False}, status=500)
                case "page":
                    return web.Response(text="<html>nginx</html>", content_type="text/html")
                case _:
                    pass
            if self.says_back and "proxy" in (told := await request.text()):
                return web.json_response({"error": told, "message": told, "success": False}, status=500)
            refused = self.refusal(request)
            answer: web.StreamResponse = refused if refused is not None else await handler(request)
            return answer

        return befallen

    async def _befall(self, request: web.Request) -> web.Response:
        """`{"fault"}`: `hang`, `garbage`, `page`, `echo` or `unlicensed`; null: none. Families without a licence have
        none to lose."""
        fault = (await body_of(request))["fault"]
        self.fault = None if fault == "unlicensed" else fault
        self.licensed = fault != "unlicensed"
        return said(200, {"fault": fault})

    @abstractmethod
    def body_of(self, session: Session, told: Told) -> dict[str, Any] | None:
        """The body that the original sends; None for what it does not report."""

    def proof_of(self, session: Session, hook: dict[str, Any], body: bytes) -> dict[str, str]:
        """The headers by which the original shows whose report it is."""
        return {}

    async def report(self, name: str, told: Told) -> list[int]:
        """Report it to every address of the session, as the original does; what was answered."""
        session = self.sessions[name]
        if told.file:
            self.files[told.message_id] = told.file
        body = self.body_of(session, told) if not session.mute else None
        answers = []
        for hook in self.hooks.get(name, []) if body is not None else []:
            raw = json.dumps(body).encode()
            headers = {"content-type": "application/json", **self.proof_of(session, hook, raw)}
            assert self.post is not None
            answers.append(await self.post(hook["url"], raw, headers))
        self.answered += answers
        return answers

    async def engine(self, session: Session, recipient: str, text: str) -> str:
        """Send; answers the message's id. Raises EngineFailed or EngineDead."""
        if self.line is not None and not session.dead:
            message_id = f"3EB0{self.fresh_id()}"
            await self.line.send(session, message_id, recipient.partition("@")[0], text)
            self._went(session, recipient, text, message_id)
            return message_id
        if session.dead or text == "dead":
            raise EngineDead
        if text == "throws":
            raise EngineFailed("stub engine error")
        if text == "hangs":
            await asyncio.sleep(60)
        message_id = f"3EB0{next(self._ids):020X}"
        self._went(session, recipient, text, message_id)
        if text == "sentthrow":
            raise EngineFailed("stub: sent, then failed")
        return message_id

    def file_of(self, message_id: str) -> bytes | None:
        """By WhatsApp's id, or by whatsapp-web.js' longer one."""
        parts = message_id.split("_")
        return self.files.get(parts[2] if len(parts) > 2 else message_id)

    def _went(self, session: Session, recipient: str, text: str, message_id: str) -> None:
        person = recipient.partition("@")[0]
        self.sent.append((session.name, person, text))
        if not self.forgets:
            self.chats.append(Shown(session.name, person, message_id, text, int(self.wall_clock())))

    def chat(self, session: str, chat: str, newest: int) -> list[Shown]:
        """What a chat shows, newest first."""
        person = chat.partition("@")[0]
        there = [each for each in self.chats if (each.session, each.person) == (session, person)]
        return there[::-1][:newest]


def said(status: int, body: Any) -> web.Response:
    return web.json_response(body, status=status)


async def body_of(request: web.Request) -> dict[str, Any]:
    told = await request.json() if request.can_read_body else {}
    return told if isinstance(told, dict) else {}

"""The engine of the real WhatsApp: sessions in the Node process, their keys and messages kept by the host."""

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, assert_never
from urllib.parse import urlencode

import msgspec
import structlog

from homing.instance.engine import (
    Acknowledged,
    CameWith,
    Closed,
    DeviceRemoved,
    DeviceState,
    EnginePairingCode,
    EngineSession,
    Frame,
    FrameRefused,
    Inbound,
    Label,
    LoggedIn,
    LoginAnswer,
    Message,
    NotLetIn,
    OnEvent,
    Paired,
    Replaced,
    SealRefused,
    Uploaded,
)
from homing.instance.engines.baileys.encrypted_files import FILE_KINDS
from homing.instance.engines.baileys.endings import ConnectionEnd, advice
from homing.instance.engines.baileys.installing import found
from homing.instance.engines.baileys.media_hosts import MediaAccess, MediaHosts
from homing.instance.engines.baileys.packing import PackedKeys
from homing.instance.engines.baileys.session_files import SessionFiles, came_with
from homing.instance.engines.baileys.sidecar import Sidecar, SidecarCommand, Told
from homing.instance.engines.registry import EngineSetup
from homing.instance.frames import framed, stanza_of
from homing.model.fleet import Capabilities
from homing.model.instances.vault import Login
from homing.model.sends.addresses import AddressKind
from homing.model.sends.content import CAPTIONED, MessageType
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign
from homing.model.sessions.exit_proxies import ExitProxy

log = structlog.get_logger("homing")
WHATSAPP = "wss://web.whatsapp.com/ws/chat"
PHONES_AT = "s.whatsapp.net"
FIRST_CODE_S, NEXT_CODE_S = 60.0, 20.0
"""How long the first code of a connection is good for, and each of those that follow it."""
CODES_OF_A_CONNECTION_S = 155.0
"""When its codes are used up, WhatsApp ends the connection; so long a code to type is good at the most."""
FRESH_S = 40.0
"""A code to type is made over a connection that is no older."""
CODE_LEFT_S = 3.0
"""Whoever gets a code to scan has so long for it at the least."""

BAILEYS = Capabilities(
    choose_message_id=True,
    stop_keeps_login=True,
    share_credentials=True,
    report_location=True,
    honour_epoch=True,
    hold_lease=True,
    sends=frozenset(MessageType),
    reaches=frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP}),
    quotes=frozenset({MessageType.TEXT}) | FILE_KINDS,
    mentions=CAPTIONED | {MessageType.TEXT},
    mark_read=True,
    show_typing=True,
    typed_codes=True,
    fetch_files=True,
)


def opened(setup: EngineSetup) -> "BaileysEngine":
    """Raises EngineUnusable where Node or what is installed does not fit, with what to do."""
    installed = found(setup.node, setup.folder)
    command = SidecarCommand(installed.node, installed.package, setup.memory_mb)
    return BaileysEngine(Sidecar(command.words), setup.whatsapp_address, setup.version)


class BaileysEngine:
    """Sessions of one process. ``address`` is of a WhatsApp to test against, HOST:PORT; None means the real one.

    ``version`` is what is announced to WhatsApp, as "2.3000.1"; None means what Baileys knows.
    """

    name = "baileys"
    capabilities = BAILEYS

    def __init__(self, sidecar: Sidecar, address: str | None, version: str | None) -> None:
        self.sidecar = sidecar
        self.media = MediaHosts()
        self._address = address
        self._version = [int(part) for part in version.split(".")] if version else None

    async def connect(
        self,
        on_event: OnEvent,
        state: DeviceState,
        proxy: ExitProxy | None = None,
    ) -> EngineSession:
        if proxy is not None:
            raise ConnectionError("this engine knows no way out by a proxy")
        session = BaileysSession(self, on_event, state)
        await session.begin()
        return session

    async def close(self) -> None:
        await self.sidecar.close()
        await self.media.close()

    def opening(self, login: Login | None, label: Label | None) -> Told:
        """The frame that opens a session. A label goes to a WhatsApp of tests alone."""
        query = {"holder": label.instance_url, "epoch": label.epoch} if label else {}
        url = WHATSAPP if self._address is None else f"ws://{self._address}/ws/chat?{urlencode(query)}"
        return {"t": "open", "creds": login["creds"] if login else None, "url": url, "version": self._version}


@dataclass(slots=True)
class _Questions:
    """What was asked of the process, and waits for its answer. All of it ends with the connection."""

    waiting: "dict[int, asyncio.Future[Told]]" = field(default_factory=dict)
    number: int = 0

    def ask(self) -> "tuple[int, asyncio.Future[Told]]":
        self.number += 1
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self.waiting[self.number] = answer
        return self.number, answer

    def answered(self, number: int, told: Told) -> None:
        answer = self.waiting.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(told)

    def end(self, why: str) -> None:
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError(why))
                answer.exception()
        self.waiting.clear()


class _Codes:
    """The codes of one connection, each of which follows the one before."""

    def __init__(self) -> None:
        self._began_s = self._good_until_s = _now_s()
        self._newest: str | None = None
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def age_s(self) -> float:
        return _now_s() - self._began_s

    def came(self, code: str) -> None:
        self._good_until_s = _now_s() + (FIRST_CODE_S if self._newest is None else NEXT_CODE_S)
        self._newest = code
        if not self._next.done():
            self._next.set_result(None)
        self._next = asyncio.get_running_loop().create_future()

    async def newest(self) -> EnginePairingCode:
        """The one that is shown now, or the next one where that is nearly over. Raises ConnectionError."""
        while self._newest is None or self._good_until_s - _now_s() < CODE_LEFT_S:
            await asyncio.shield(self._next)
        return EnginePairingCode(self._newest, self._good_until_s - _now_s())

    def end(self, why: ConnectionError) -> None:
        if not self._next.done():
            self._next.set_exception(why)
            self._next.exception()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


class BaileysSession:
    """One connection. Whatever the process says after ``close`` is dropped, and with it nothing that was durable."""

    def __init__(self, engine: BaileysEngine, on_event: OnEvent, state: DeviceState) -> None:
        self._engine = engine
        self._on_event = on_event
        self._state = state
        self._keys = PackedKeys(state)
        self._channel: int | None = None
        self._questions = _Questions()
        self._files = SessionFiles(engine.media, self._media_access)
        self._up: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._codes = _Codes()
        self._login: Login | None = None
        self._pairing = False
        self._counters: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._backlog: deque[Told] = deque()
        self._working_off = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False

    async def begin(self) -> None:
        """Raises ``OSError``."""
        self._channel = await self._engine.sidecar.channel(self._heard)

    # What the host asks

    async def login(self, login: Login, *, next_counter: int, label: Label) -> LoginAnswer:  # noqa: ARG002 - no counters
        self._login = login
        self._say(self._engine.opening(login, label))
        up = await self._up
        if up["t"] == "open":
            return LoggedIn(_phone(up.get("id")))
        ended = ConnectionEnd(up.get("code"), up.get("why", "closed"))
        if (what := advice(ended)) is not None:
            log.error("WhatsApp refused a login", reason=str(ended), advice=what)
        if ended.is_replaced:
            self._on_event(Replaced())
        answer = ended.refusal()
        if answer is None:
            raise ConnectionError(f"WhatsApp ended the login: {ended}")
        return answer

    def confirm(self, renewed: Login) -> None:
        """Its login is saved before WhatsApp hears of anything that it says."""

    async def pair(self, session_id: str, phone: str | None = None) -> EnginePairingCode:  # noqa: ARG002 - WhatsApp names the device
        if phone is not None and self._pairing and self._codes.age_s > FRESH_S:
            await self._pair_anew()
        if not self._pairing:
            self._pairing, self._codes = True, _Codes()
            self._say(self._engine.opening(None, None))
        code = await self._codes.newest()
        if phone is None:
            return code
        number, answer = self._questions.ask()
        self._say({"t": "code", "n": number, "phone": phone})
        told = await answer
        if "code" not in told:
            raise ConnectionError(f"no code to type could be made: {told.get('error')}")
        return EnginePairingCode(told["code"], CODES_OF_A_CONNECTION_S - self._codes.age_s, typed=True)

    async def _pair_anew(self) -> None:
        """Over a connection of its own, whose codes are not used up yet."""
        if self._channel is not None:
            self._engine.sidecar.leave(self._channel)
        self._questions.end("another connection is made for a code")
        self._pairing = False
        await self.begin()

    async def upload(self, pieces: AsyncIterator[bytes], kind: MessageType) -> Uploaded:
        return await self._files.upload(pieces, kind)

    async def download(self, reference: str) -> AsyncIterator[bytes]:
        if self._login is None:
            raise ConnectionError("the session is not logged in")
        async for piece in self._files.download(reference, self._login):
            yield piece

    async def seal(self, message: Message) -> bytes:
        to = message.recipient if "@" in message.recipient else f"{message.recipient}@{PHONES_AT}"
        wanted = {"id": message.message_id, "to": to, "text": message.text, "content": message.content}
        file = msgspec.json.decode(message.file) if message.file is not None else None
        told = await self._asked({"t": "seal", **wanted, "file": file})
        if "frame" not in told:
            if told.get("refused") or told.get("code") in (404, 406, 463):
                raise SealRefused(told.get("error", "refused"), told.get("code"))
            raise ConnectionError(f"it could not be sealed: {told.get('error')}")
        sealed = framed(message.recipient, base64.b64decode(told["frame"]))
        self._steps[message.message_id] = told.get("step", 0)
        return sealed

    def transmit(self, frame: Frame) -> None:
        self._counters[frame.message_id] = frame.counter
        stanza = base64.b64encode(stanza_of(frame.sealed)).decode()
        step = self._steps.pop(frame.message_id, 0)  # what sealing it changed is durable with it
        self._say({"t": "transmit", "frame": stanza, "step": step})

    def received(self, inbound_id: str) -> None:
        self._say({"t": "received", "step": self._steps.pop(f"from {inbound_id}", 0)})

    async def show(self, sign: ChatSign) -> None:
        told = await self._asked({"t": "show", **_sign(sign)})
        if "error" in told:
            raise ConnectionError(f"it could not be shown: {told['error']}")

    async def logout(self) -> None:
        self._say({"t": "logout"})
        await asyncio.sleep(1.0)  # the word to WhatsApp leaves

    def close(self) -> None:
        if self._channel is not None:
            self._engine.sidecar.leave(self._channel)
        self._end(ConnectionError("closed"))

    async def _media_access(self, anew: bool) -> MediaAccess:
        told = await self._asked({"t": "media", "anew": anew})
        if "auth" not in told:
            raise ConnectionError(f"WhatsApp did not say where files go: {told.get('error')}")
        return MediaAccess(tuple(told["hosts"]), told["auth"])

    async def _asked(self, frame: Told) -> Told:
        """What the process answers. Raises ConnectionError."""
        if self._over:
            raise ConnectionError("the connection is gone")
        number, answer = self._questions.ask()
        self._say({**frame, "n": number})
        return await answer

    # What the process says

    def _heard(self, told: Told) -> None:
        """In its order. What needs the vault before it is understood holds up what comes after it."""
        if self._over:
            return
        if not self._working_off and not self._waits(told):
            self._take(told)
            return
        self._backlog.append(told)
        if not self._working_off:
            self._working_off = True
            self._spawn(self._work_off())

    def _waits(self, told: Told) -> bool:
        return bool(told.get("keys")) and self._keys.missing(told["keys"])

    async def _work_off(self) -> None:
        while self._backlog and not self._over:
            told = self._backlog.popleft()
            if self._waits(told):
                await self._keys.load([key[1] for key in told["keys"] if key[0] == "pre-key"])
            if not self._over:
                self._take(told)
        self._working_off = False

    def _take(self, told: Told) -> None:
        match told["t"]:
            case "changed":
                self._state.changed(self._keys.rows(told["keys"]))
            case "arrived":
                self._state.changed(self._keys.rows(told["keys"]))
                self._steps[f"from {told['id']}"] = told["step"]
                self._on_event(_inbound(told, came_with(told.get("file"), self._login)))
            case "commit":
                self._spawn(self._commit(told))
            case "get":
                self._spawn(self._get(told))
            case "had":
                self._spawn(self._had(told))
            case "sealed" | "code" | "shown" | "media":
                self._questions.answered(told["n"], told)
            case "ack":
                self._acknowledged(told)
            case "qr":
                self._codes.came(told["qr"])
            case "open" | "closed" | "gone":
                self._stands(told)
            case other:
                log.warning("Engine's process said what is not known", what=other)

    async def _commit(self, told: Told) -> None:
        login = {"creds": told["creds"]} if told.get("creds") and told.get("paired") else None
        if login is not None:
            self._login = login
        if await self._state.committed(login):
            self._answer(told, True)

    async def _get(self, told: Told) -> None:
        self._answer(told, await self._keys.get(told["kind"], told["ids"]))

    async def _had(self, told: Told) -> None:
        self._answer(told, await self._state.had(told["id"], told["digest"]))

    def _acknowledged(self, told: Told) -> None:
        counter = self._counters.pop(told["id"], None)
        if counter is None:
            return
        error = told.get("error")
        if error is None:
            self._on_event(Acknowledged(counter))
        else:
            code = int(error) if str(error).isdecimal() else None
            self._on_event(FrameRefused(counter, f"WhatsApp refused it: error {error}", code))

    def _stands(self, told: Told) -> None:
        if told["t"] == "open":
            if not self._up.done():
                self._up.set_result(told)
            return
        was_up = self._up.done()
        if not was_up:
            self._up.set_result(told)
        ended = ConnectionEnd(told.get("code"), told.get("why", "the engine's process is gone"))
        waiting_for_login = not was_up and self._login is not None and not self._pairing
        self._end(NotLetIn(ended.not_let_in) if ended.not_let_in else ConnectionError(str(ended)))
        if waiting_for_login:
            return  # whoever waits for the login hears of it
        if self._pairing and self._login is not None:
            self._on_event(Paired(self._login))  # the host connects anew, to log in
            return
        if self._pairing and (failed := ended.in_pairing) is not None:
            log.error("A phone was not linked", reason=failed.reason)
            self._on_event(failed)
        elif ended.is_replaced:
            self._on_event(Replaced())
        elif ended.is_removed and was_up:
            self._on_event(DeviceRemoved())
        elif (what := advice(ended)) is not None:
            log.error("WhatsApp ended a connection", reason=str(ended), advice=what)
        self._on_event(Closed())

    def _answer(self, told: Told, value: object) -> None:
        self._say({"t": "answer", "n": told["n"], "value": value})

    def _say(self, frame: Told) -> None:
        if self._channel is not None and not self._over:
            self._engine.sidecar.say(self._channel, frame)

    def _end(self, why: ConnectionError) -> None:
        self._over = True
        self._questions.end(str(why))
        self._codes.end(why)
        if not self._up.done():
            self._up.set_result({"t": "closed", "why": str(why)})
        for task in tuple(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _inbound(told: Told, file: CameWith | None) -> Inbound:
    at = datetime.fromtimestamp(told.get("at") or 0, UTC).isoformat()
    sender = str(told.get("from") or "")
    sender = sender.removesuffix("@s.whatsapp.net").partition(":")[0] if sender.endswith("@s.whatsapp.net") else sender
    return Inbound(told["id"], sender, told.get("text"), at, told["digest"], file)


def _sign(sign: ChatSign) -> Told:
    chat = sign.chat.jid(PHONES_AT)
    match sign:
        case ReadSign(messages=messages):
            by = [each.participant.jid(PHONES_AT) if each.participant is not None else None for each in messages]
            pairs = zip(messages, by, strict=True)
            return {
                "read": [{"remoteJid": chat, "id": of.id, "fromMe": False, "participant": who} for of, who in pairs]
            }
        case TypingSign(for_s=for_s):
            return {"typing": chat, "for_ms": round(for_s * 1000)}
        case _:
            assert_never(sign)


def _phone(device: str | None) -> str | None:
    """The number in a device's name, as in 62811:5@s.whatsapp.net."""
    return device.partition("@")[0].partition(":")[0] if device else None

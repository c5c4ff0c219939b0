"""The engine of tests, demos and simulations: a device of a simulated WhatsApp."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from homing.instance.engine import (
    Acknowledged,
    CameWith,
    Closed,
    DeviceRemoved,
    DeviceState,
    EngineEvent,
    EnginePairingCode,
    EngineSession,
    FileGone,
    Frame,
    FrameRefused,
    Inbound,
    Label,
    LoggedIn,
    LoggedOut,
    LoginAnswer,
    Message,
    OnEvent,
    Paired,
    Replaced,
    StaleLogin,
    Throttled,
    Uploaded,
)
from homing.instance.engines.registry import EngineSetup, EngineUnusable
from homing.instance.frames import frozen, thawed
from homing.model.fleet import Capabilities
from homing.model.instances.vault import Login
from homing.model.sends.addresses import AddressKind
from homing.model.sends.content import CAPTIONED, MessageType
from homing.model.sends.signs import ChatSign
from homing.model.sessions.exit_proxies import ExitProxy
from simulated_whatsapp import client, core
from simulated_whatsapp.core import DeviceCredentials, Refusal
from simulated_whatsapp.wire import Dial, tcp, tcp_through

SIMULATED = Capabilities(
    choose_message_id=True,
    stop_keeps_login=True,
    share_credentials=True,
    report_location=True,
    honour_epoch=True,
    hold_lease=True,
    sends=frozenset(MessageType),
    reaches=frozenset(AddressKind),
    quotes=frozenset(MessageType) - {MessageType.REACTION, MessageType.EDIT, MessageType.REVOKE},
    mentions=CAPTIONED | {MessageType.TEXT, MessageType.EDIT},
    typed_codes=True,
    fetch_files=True,
)


def opened(setup: EngineSetup) -> "SimulatedEngine":
    """The engine over TCP. Raises EngineUnusable without an address of a simulated WhatsApp."""
    if setup.whatsapp_address is None:
        raise EngineUnusable(
            "The simulated engine needs a simulated WhatsApp: say where it listens, --whatsapp HOST:PORT"
        )
    return SimulatedEngine(tcp(setup.whatsapp_address), through=partial(_through, setup.whatsapp_address))


def _through(address: str, proxy: ExitProxy) -> Dial:
    if proxy.scheme != "http":
        raise ConnectionError(f"the simulated engine goes out by http proxies alone, not by {proxy.scheme}")
    login = None if proxy.username is None else (proxy.username, proxy.password or "")
    return tcp_through((proxy.host, proxy.port), login, address)


class SimulatedEngine:
    """Connections through ``dial``: over TCP, or in memory. ``clock`` gives unix seconds; ``through`` makes the dial
    that goes by an exit proxy, where there is a way to."""

    name = "simulated"

    def __init__(
        self,
        dial: Dial,
        clock: Callable[[], float] = time.time,
        through: Callable[[ExitProxy], Dial] | None = None,
    ) -> None:
        self._dial, self._clock, self._through = dial, clock, through
        self.capabilities = replace(SIMULATED, takes_proxy=through is not None)

    async def connect(
        self,
        on_event: OnEvent,
        state: DeviceState,  # noqa: ARG002 - it has no keys
        proxy: ExitProxy | None = None,
    ) -> EngineSession:
        session = SimulatedSession(on_event, self._clock)
        if proxy is None:
            dial = self._dial
        elif self._through is not None:
            dial = self._through(proxy)
        else:
            raise ConnectionError("there is no way out by a proxy here")
        await session.device.connect(dial)
        return session

    async def close(self) -> None:
        return


class SimulatedSession:
    """One device's connection, its frames translated into the host's words."""

    def __init__(self, on_event: OnEvent, clock: Callable[[], float]) -> None:
        self._on_event = on_event
        self._clock = clock
        self.device = client.Device(lambda event: on_event(_translated(event)))

    async def login(self, login: Login, *, next_counter: int, label: Label) -> LoginAnswer:
        try:
            answer = await self.device.login(DeviceCredentials(**login), next_counter=next_counter, label=asdict(label))
        except client.RefusedByWhatsApp as refused:
            return _refused_login(refused)
        for message in answer.waiting:
            self._on_event(_translated(message))
        return LoggedIn(answer.phone, asdict(answer.renewed))

    def confirm(self, renewed: Login) -> None:
        self.device.confirm(DeviceCredentials(**renewed))

    async def pair(self, session_id: str, phone: str | None = None) -> EnginePairingCode:
        """One code is both scanned and typed here."""
        pairing = await self.device.pair(session_id, phone)
        return EnginePairingCode(pairing.code, pairing.expires_at - self._clock(), typed=phone is not None)

    async def seal(self, message: Message) -> bytes:
        """Its ratchet is the counter, which the vault gives."""
        return frozen(message.recipient, message.text, message.content, message.file)

    def transmit(self, frame: Frame) -> None:
        said, answered = thawed(frame.sealed), partial(self._answered, frame.counter)
        self.device.transmit(
            frame.message_id, said.recipient, said.text, frame.counter, answered, said.content, said.media_sha256
        )

    async def upload(self, pieces: AsyncIterator[bytes], kind: MessageType) -> Uploaded:  # noqa: ARG002 - one for all
        try:
            sha256, _ = await self.device.upload(pieces)
        except client.RefusedByWhatsApp as refused:
            raise ConnectionError(f"WhatsApp refused a file: {refused.reason}") from refused
        return Uploaded(sha256, sha256)

    async def download(self, reference: str) -> AsyncIterator[bytes]:
        try:
            async for piece in self.device.download(reference):
                yield piece
        except client.RefusedByWhatsApp as refused:
            if refused.reason == Refusal.MEDIA_MISSING:
                raise FileGone("WhatsApp does not have this file") from refused
            raise ConnectionError(f"WhatsApp refused to give a file out: {refused.reason}") from refused

    def received(self, inbound_id: str) -> None:
        self.device.received(inbound_id)

    async def show(self, sign: ChatSign) -> None:  # noqa: ARG002
        raise ConnectionError("nobody sees signs in the simulated WhatsApp")

    async def logout(self) -> None:
        with suppress(client.RefusedByWhatsApp):  # it has no device for us any more: there is nothing to unlink
            await self.device.logout()

    def close(self) -> None:
        self.device.close()

    def _answered(self, counter: int, reply: dict[str, Any]) -> None:
        if reply["ok"]:
            self._on_event(Acknowledged(counter))
        else:
            self._on_event(FrameRefused(counter, reply["reason"], reply.get("code")))


def _refused_login(refused: client.RefusedByWhatsApp) -> LoginAnswer:
    match refused.reason:
        case Refusal.LOGIN_THROTTLED:
            return Throttled(refused.retry_after_s)
        case Refusal.STALE_CREDENTIALS:
            return StaleLogin()
        case reason:
            return LoggedOut(reason, known=reason != Refusal.UNKNOWN_DEVICE)


def _translated(event: client.ClientEvent) -> EngineEvent:
    match event:
        case core.Replaced():
            return Replaced()
        case core.DeviceRemoved():
            return DeviceRemoved()
        case core.Paired(credentials):
            return Paired(asdict(credentials))
        case core.InboundMessage(inbound_id, sender, text, at, file):
            came_with = None if file is None else CameWith(file["sha256"], file["mime_type"], file["file_name"])
            return Inbound(inbound_id, sender, text, at, file=came_with)
        case client.Closed():
            return Closed()

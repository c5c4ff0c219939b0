"""The sessions of a model as devices of a simulated WhatsApp, so that what they send is judged like everybody's.

A gateway of this kind keeps its logins on its own disk, knows no epochs and no fence: whoever starts the same login
elsewhere takes its place. What the model says of a session (open, paired, removed) is what is brought about here, round
after round; what WhatsApp says is told to the model.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session
from simulated_whatsapp.client import ClientEvent, Closed, Device, RefusedByWhatsApp
from simulated_whatsapp.core import (
    DeviceCredentials,
    DeviceRemoved,
    InboundMessage,
    Paired,
    Refusal,
    Replaced,
)
from simulated_whatsapp.wire import Dial

ROUND_S = 0.1
LOGIN_WITHIN_S = 10.0
AT_ONCE = 16
"""Logins at the same moment."""


@dataclass
class Link:
    """One session's connection. `up`: it is logged in."""

    device: Device
    up: bool = False
    closed: bool = False
    expires_at: float = 0.0
    """When the code that it shows ends."""


@dataclass
class Disk:
    """The logins on a gateway's disk: session name → its device, and its phone."""

    devices: dict[str, DeviceCredentials] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)

    def look_again(self, name: str) -> bool:
        """Whether there is a login of this session, also one that somebody has put there meanwhile."""
        return name in self.devices

    def keep(self, name: str, phone: str, credentials: DeviceCredentials) -> None:
        self.devices[name], self.phones[name] = credentials, phone

    def forget(self, name: str) -> None:
        self.devices.pop(name, None)


@dataclass
class Logins(Disk):
    """The same in a file, where a login is looked up anew whenever its session is opened: somebody may have put a newer
    one there since. A change is of one login, and leaves the others in the file as they are."""

    path: Path = Path("logins.json")

    @classmethod
    def read(cls, path: Path) -> "Logins":
        """Those that are there; a file that is not there has none."""
        logins = cls(path=path)
        for row in json.loads(path.read_text()) if path.exists() else []:
            logins.devices[row["name"]] = DeviceCredentials(**row["credentials"])
            logins.phones[row["name"]] = row["phone"]
        return logins

    def look_again(self, name: str) -> bool:
        there = Logins.read(self.path)
        if name in there.devices:
            self.devices[name], self.phones[name] = there.devices[name], there.phones[name]
        return name in self.devices

    def keep(self, name: str, phone: str, credentials: DeviceCredentials) -> None:
        super().keep(name, phone, credentials)
        there = Logins.read(self.path)
        there.devices[name], there.phones[name] = credentials, phone
        there.write()

    def forget(self, name: str) -> None:
        if self.devices.pop(name, None) is not None:
            there = Logins.read(self.path)
            there.devices.pop(name, None)
            there.write()

    def write(self) -> None:
        """To a temporary name, then renamed."""
        rows = [
            {"name": name, "phone": self.phones[name], "credentials": asdict(device)}
            for name, device in self.devices.items()
        ]
        unfinished = self.path.with_suffix(".tmp")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(rows))
        unfinished.replace(self.path)


class DeviceLine:
    """Joins one model to a WhatsApp. `url` is what its messages are labelled with; `clock` tells unix seconds. `opens`:
    the sessions on its disk are open as it begins, as on a gateway that is told to restore all of them."""

    def __init__(
        self,
        model: Model,
        dial: Dial,
        disk: Disk,
        url: str,
        *,
        opens: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model, self._dial, self._logins, self._url, self._clock = model, dial, disk, url, clock
        self._links: dict[str, Link] = {}
        self._counter = 0
        self._gate = asyncio.Semaphore(AT_ONCE)
        model.line = self
        for name in disk.devices:
            model.add(name, open=opens, paired=True, phone=disk.phones[name])

    epoch: int | None = None
    """What its messages are labelled with beside the address: such gateways know of none."""

    async def send(self, session: Session, message_id: str, recipient: str, text: str) -> None:
        link = self._links.get(session.name)
        if link is None or not link.up:
            raise EngineDead
        try:
            await link.device.send(message_id, recipient, text, self._next_counter())
        except RefusedByWhatsApp as refused:
            raise EngineFailed(refused.reason) from refused
        except ConnectionError as error:
            raise EngineDead from error

    async def settled(self) -> None:
        """Every login that was there when the process began is up, or was refused."""
        await self._round()

    async def run(self) -> None:
        """Bring about what the model says until cancelled."""
        try:
            while True:
                await asyncio.sleep(ROUND_S)
                await self._round()
        finally:
            for link in self._links.values():
                link.device.close()

    async def _round(self) -> None:
        for name in sorted(self._links.keys() - self._model.sessions.keys()):
            await self._end(name, logout=True)
        await asyncio.gather(*(self._brought_about(session) for session in list(self._model.sessions.values())))

    async def _brought_about(self, session: Session) -> None:
        link = self._links.get(session.name)
        if link is not None and link.closed:
            self._links.pop(session.name)
            link = None
        if not session.open or session.removed:
            if link is not None:
                await self._end(session.name, logout=not session.paired)
            return
        async with self._gate:
            if session.paired and link is None:
                await self._log_in(session)
            elif not session.paired and link is not None and link.up:
                await self._end(session.name, logout=True)
            elif not session.paired and link is None and self._logins.look_again(session.name):
                session.paired, session.phone = True, self._logins.phones[session.name]
                await self._log_in(session)
            elif not session.paired and (link is None or link.expires_at < self._clock()):
                await self._ask_for_code(session)

    async def _log_in(self, session: Session) -> None:
        credentials = self._logins.devices[session.name] if self._logins.look_again(session.name) else None
        if credentials is None:
            session.paired = False
            return
        link = await self._connected(session)
        if link is None:
            return
        label = {"instance_url": self._url, "epoch": self.epoch}
        try:
            async with asyncio.timeout(LOGIN_WITHIN_S):
                login = await link.device.login(credentials, next_counter=self._next_counter(), label=label)
        except RefusedByWhatsApp as refused:
            link.device.close()
            if refused.reason != Refusal.LOGIN_THROTTLED:  # unlinked by its phone, or its login was used elsewhere
                session.removed = True
            return
        except (ConnectionError, TimeoutError):
            link.device.close()
            return
        self._logins.keep(session.name, login.phone, login.renewed)
        link.device.confirm(login.renewed)
        link.up, session.phone, session.code = True, login.phone, None
        for message in login.waiting:
            link.device.received(message.id)

    async def _ask_for_code(self, session: Session) -> None:
        link = self._links.get(session.name) or await self._connected(session)
        if link is None:
            return
        with suppress(RefusedByWhatsApp, ConnectionError, TimeoutError):
            async with asyncio.timeout(LOGIN_WITHIN_S):
                pairing = await link.device.pair(session.name)
            session.code, link.expires_at = pairing.code, pairing.expires_at

    async def _connected(self, session: Session) -> Link | None:
        def hear(event: ClientEvent) -> None:
            self._heard(session, link, event)

        link = Link(Device(hear))
        try:
            await link.device.connect(self._dial)
        except OSError:
            return None
        self._links[session.name] = link
        return link

    def _heard(self, session: Session, link: Link, event: ClientEvent) -> None:
        match event:
            case Closed():
                link.up, link.closed = False, True
            case Replaced():
                # The same login was opened elsewhere. This one gives up, and does not take it back.
                session.open = False
            case DeviceRemoved():
                session.removed = True
                self._logins.forget(session.name)
            case Paired(credentials):
                self._logins.keep(session.name, session.phone, credentials)
                session.paired, session.code = True, None
                link.device.close()
            case InboundMessage():
                link.device.received(event.id)

    async def _end(self, name: str, *, logout: bool) -> None:
        link = self._links.pop(name)
        if logout and link.up:
            with suppress(RefusedByWhatsApp, ConnectionError, TimeoutError):
                async with asyncio.timeout(LOGIN_WITHIN_S):
                    await link.device.logout()
            self._logins.forget(name)
        link.device.close()

    def _next_counter(self) -> int:
        """Above every earlier one, those of earlier processes too."""
        self._counter = max(self._counter + 1, int(self._clock() * 1_000_000))
        return self._counter


def written(path: Path, logins: dict[str, tuple[str, DeviceCredentials]]) -> None:
    """Put logins (session name → phone and device) on a gateway's disk before its process begins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = Logins(path=path)
    for name, (phone, device) in logins.items():
        there.devices[name], there.phones[name] = device, phone
    there.write()


def carried_over(session: str, from_disk: Path, to_disk: Path) -> None:
    """Copy a session's login from one gateway's disk to another's, as somebody does who moves it by hand.

    The session must not run on either; the other gateway finds it when it starts it.
    """
    login = Logins.read(from_disk)
    there = Logins.read(to_disk)
    there.keep(session, login.phones[session], login.devices[session])

"""The simulated WhatsApp as a place in the simulated network: its own core, and a record of all that it saw."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from homing.lab.sim.trial.judging.history import OutsideHistory
from homing.lab.sim.trial.world.network import SimulatedNetwork
from homing.lab.sim.trial.world.processes import Process, settle
from simulated_whatsapp.core import (
    CODE_ALPHABET,
    Acknowledged,
    DeviceCredentials,
    Dropped,
    Judge,
    LoggedIn,
    Refused,
    Rules,
)
from simulated_whatsapp.exchange import Exchange, Frame
from simulated_whatsapp.ledger import Delivery
from simulated_whatsapp.wire import Dial, OnClosed, OnFrame, Wire

PLACE = "whatsapp"


class WatchedJudge(Judge):
    """The judge, telling the history what it decides."""

    def __init__(self, rules: Rules, draw: Callable[[int], str], history: OutsideHistory) -> None:
        super().__init__(rules, draw)
        self._history = history

    def login(
        self, credentials: DeviceCredentials, next_counter: int, label: Any, connection: str, now: float
    ) -> LoggedIn | Refused:
        answer = super().login(credentials, next_counter, label, connection, now)
        told = {"session": credentials.session_id, **_label(label), "connection": connection}
        if isinstance(answer, Refused):
            self._history.add("login_refused", reason=answer.reason.value, **told)
            return answer
        for push in answer.pushes:
            self._history.add("evicted", connection=push.connection, session=credentials.session_id, by=connection)
        self._history.add("logged_in", **told)
        return answer

    def send(
        self,
        connection: str,
        message_id: str,
        recipient: str,
        text: str,
        counter: int,
        now: float,
        content: Mapping[str, Any] | None = None,
        media_sha256: str | None = None,
    ) -> Acknowledged | Refused | Dropped:
        device = self._live.get(connection)
        answer = super().send(connection, message_id, recipient, text, counter, now, content, media_sha256)
        session = device.session_id if device else None
        told = {"session": session, "text": text, "id": message_id, "counter": counter, "recipient": recipient}
        told |= _label(device.label if device else None)
        match answer:
            case Acknowledged(delivery=Delivery()):
                self._history.add("delivered", **told)
            case Acknowledged():
                self._history.add("repeated", **told)
            case Refused(reason=reason):
                self._history.add("refused", reason=reason.value, **told)
            case Dropped():
                self._history.add("dropped", **told)
        return answer

    def received(self, connection: str, inbound_id: str) -> None:
        device = self._live.get(connection)
        if device is not None and inbound_id in device.waiting:
            self._history.add("settled", session=device.session_id, id=inbound_id, **_label(device.label))
        super().received(connection, inbound_id)


class SimulatedExchange:
    """One exchange behind the network. `away` while nobody can reach it."""

    def __init__(
        self, network: SimulatedNetwork, history: OutsideHistory, draw: Callable[[int], str], rules: Rules
    ) -> None:
        self._network, self._history = network, history
        self.judge = WatchedJudge(rules, draw, history)
        self.exchange = Exchange(self.judge, _Book(), clock=lambda: unix_s(network), later=network.later)
        self.away = 0
        self._wires: dict[str, _WhatsAppWire] = {}

    def dial(self, process: Process, place: str) -> Dial:
        """How this process reaches it."""

        async def connect(on_frame: OnFrame, on_closed: OnClosed) -> Wire:
            link = self._network.link(place, PLACE)
            arrived: asyncio.Future[None] = self._network.loop.create_future()
            self._network.later(self._network.delay_s(link) * 2, lambda: settle(arrived))
            await arrived
            if self.away or link.cuts:
                raise ConnectionRefusedError("WhatsApp cannot be reached")
            wire = _WhatsAppWire(self._network, self.exchange, process, place, on_frame, on_closed)
            self._wires[wire.name] = wire
            process.when_it_dies(wire.cut)
            return wire

        return connect

    def cut(self, session: str) -> bool:
        """Break the connection of this session, if it has one."""
        device = self.judge.devices.get(session)
        wire = self._wires.get(device.connection) if device is not None and device.connection else None
        if wire is not None:
            wire.cut()
        return wire is not None

    def cut_all(self) -> None:
        for wire in list(self._wires.values()):
            wire.cut()

    def write(self, session: str, sender: str, text: str) -> None:
        """Somebody writes to the session."""
        self.exchange.frame("people", {"do": "deliver", "session_id": session, "sender": sender, "text": text})
        device = self.judge.devices.get(session)
        newest = next(reversed(device.waiting), None) if device is not None else None
        if newest is not None and device is not None and device.waiting[newest].text == text:
            self._history.add("written", session=session, id=newest, text=text)

    def stranger(self, session: str) -> None:
        """Somebody else logs in with the session's present credentials, and stays a while."""
        device = self.judge.devices[session]
        name = self.exchange.opened(lambda _: None)
        label = {"instance_url": "a stranger", "epoch": -1}
        self.judge.login(device.credentials, device.counter + 1, label, name, unix_s(self._network))
        self._network.later(3.0, lambda: self.exchange.closed(name))

    def waiting(self) -> dict[str, list[str]]:
        """What it still keeps for each session."""
        return {name: list(device.waiting) for name, device in self.judge.devices.items() if device.waiting}


class _Book:
    """Deliveries are in the history already."""

    def append(self, deliveries: tuple[Delivery, ...]) -> None:
        pass


class _WhatsAppWire:
    """One connection. Frames arrive in order, in both directions."""

    def __init__(
        self,
        network: SimulatedNetwork,
        exchange: Exchange,
        process: Process,
        place: str,
        on_frame: OnFrame,
        on_closed: OnClosed,
    ) -> None:
        self._network, self._exchange, self._process = network, exchange, process
        self._on_frame, self._on_closed = on_frame, on_closed
        self._link = network.link(place, PLACE)
        self._up: deque[Frame | None] = deque()
        self._down: deque[Frame] = deque()
        self._arrived: deque[Frame] = deque()
        self._open, self._known = True, True
        self.name = exchange.opened(self._answer)

    def send(self, frame: Frame) -> None:
        if self._open:
            self._post(frame)

    def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        """What was written before still arrives; each side hears of the end after that."""
        if self._open:
            self._open = False
            self._post(None)
            self._process.call(self._on_closed)

    def _post(self, frame: Frame | None) -> None:
        self._up.append(frame)
        self._network.later(self._network.delay_s(self._link), self._reach)

    def _reach(self) -> None:
        frame = self._up.popleft()
        if frame is None:
            self._known = False
            self._exchange.closed(self.name)
        elif self._known:
            self._exchange.frame(self.name, frame)

    def _answer(self, frame: Frame) -> None:
        self._down.append(frame)
        self._network.later(self._network.delay_s(self._link), self._return)

    def _return(self) -> None:
        self._arrived.append(self._down.popleft())
        self._process.call(self._hear)

    def _hear(self) -> None:
        frame = self._arrived.popleft()
        if self._open:
            self._on_frame(frame)


def unix_s(network: SimulatedNetwork) -> float:
    """What WhatsApp's own clock shows."""
    return _BEGAN_UNIX_S + network.loop.time()


def _label(label: Any) -> dict[str, Any]:
    return {"url": label["instance_url"], "epoch": label["epoch"]} if isinstance(label, dict) else {}


def draws(chance: random.Random) -> Callable[[int], str]:
    return lambda length: "".join(chance.choice(CODE_ALPHABET) for _ in range(length))


_BEGAN_UNIX_S = 1_767_268_800.0

"""Logins and their ends: who may come in, who has to go, and with which words.

A login that is refused hears ``failure`` with a reason: 401 logged out, 402 banned for a time, 403 banned, 405 client
too old, 429 too many, 503 unavailable (as Baileys 7.0.0-rc14 and whatsmeow read them).
"""

from collections import deque

from simulated_whatsapp.multidevice.protocol.contacts import Contacts
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.jids import HIDDEN
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.protobuf import Fields
from simulated_whatsapp.multidevice.world.faults import Fault
from simulated_whatsapp.multidevice.world.people import Line, LinkedDevice, device_name
from simulated_whatsapp.multidevice.world.world import World

LOGGED_OUT, BANNED = 401, 403
REPLACED = node("stream:error", node("conflict", type="replaced"))
REMOVED = node("stream:error", node("conflict", type="device_removed"), code="401")
ROUTING = b"\x08\x0c\x08\x05"
ENDINGS: dict[str, tuple[Node, ...]] = {
    "cut": (),
    "replaced": (REPLACED,),
    "restart": (node("stream:error", code="515"),),
    "unavailable": (node("stream:error", code="503"),),
    "removed": (REMOVED,),
    "banned": (node("failure", reason=str(BANNED)),),
}


class Logins:
    """The front door. Banned numbers stay so until they are pardoned."""

    def __init__(self, world: World, contacts: Contacts) -> None:
        self._world, self._contacts = world, contacts
        self._recent: deque[float] = deque()
        self.banned: set[str] = set()

    def login(self, line: Line, noise: bytes, payload: Fields) -> LinkedDevice | None:
        """The device that this connection is from now on; ``None`` where it was refused."""
        name = device_name(str(protobuf.number(payload, 1)), protobuf.number(payload, 18))
        device = self._world.people.device(name)
        refusal = self._refusal(name, device, noise)
        self._world.events.write("login", device=name, label=line.label, connection=line.name, refused=refusal or None)
        if refusal or device is None:
            line.end(node("failure", reason=str(refusal), location="sim"))
            return None
        self._admit(device, line, protobuf.text(payload, 7) or "")
        return device

    def end(self, device: LinkedDevice, why: str) -> None:
        """Close a device's connection with the words of ``ENDINGS``; ``removed`` and ``banned`` are for good."""
        if why == "removed":
            device.removed = True
            person = self._world.people.person(device.number)
            person.devices.pop(device.id, None)
            self._contacts.changed(person, "remove", device.id)
        if why == "banned":
            self.banned.add(device.number)
        if device.line is not None:
            self._close(device, why, *ENDINGS[why])

    def left(self, device: LinkedDevice, line: Line, why: str) -> None:
        """The wire is gone."""
        if device.line is line:
            device.line, device.live = None, False
            self._world.events.write("ended", device=device.name, label=line.label, connection=line.name, why=why)

    def _admit(self, device: LinkedDevice, line: Line, push_name: str) -> None:
        if device.line is not None:
            self._close(device, "replaced", REPLACED)
        device.line, device.live, device.push_name = line, False, push_name or device.push_name
        late = self._world.faults.take(Fault.DELAY_LOGIN, device.name)
        if late is not None:
            self._world.later(late.seconds, lambda: self._welcome(device, line))
        else:
            self._welcome(device, line)

    def _welcome(self, device: LinkedDevice, line: Line) -> None:
        if device.line is not line:
            return
        person = self._world.people.person(device.number)
        line.send(node("success", t=self._world.seconds, lid=str(person.address(HIDDEN, device.id)), location="sim"))
        line.send(node("ib", node("edge_routing", leaf("routing_info", ROUTING)), from_="s.whatsapp.net"))
        ended = self._world.faults.take(Fault.END_AFTER_LOGIN, device.name)
        if ended is not None:
            self._close(device, f"code {ended.code}", node("stream:error", code=str(ended.code or 503)))

    def _close(self, device: LinkedDevice, why: str, *last: Node) -> None:
        line, device.line, device.live = device.line, None, False
        assert line is not None
        self._world.events.write("ended", device=device.name, label=line.label, connection=line.name, why=why)
        line.end(*last)

    def _refusal(self, name: str, device: LinkedDevice | None, noise: bytes) -> int:
        """The reason, or 0."""
        armed = self._world.faults.take(Fault.REFUSE_LOGIN, name)
        if armed is not None:
            return armed.code or 503
        if self._is_throttled():
            return self._world.rules.throttled_code
        if name.partition(":")[0] in self.banned:
            return BANNED
        if device is None or device.noise != noise:
            return LOGGED_OUT
        self._recent.append(self._world.clock())
        return 0

    def _is_throttled(self) -> bool:
        while self._recent and self._recent[0] <= self._world.clock() - 1.0:
            self._recent.popleft()
        return 0 < self._world.rules.logins_per_second <= len(self._recent)

"""The service: connections become clients or devices, and each thing they say goes to whom it concerns."""

import asyncio
from collections.abc import Callable
from functools import partial

from simulated_whatsapp.multidevice.protocol.contacts import Contacts
from simulated_whatsapp.multidevice.protocol.group_questions import GroupQuestions
from simulated_whatsapp.multidevice.protocol.keys import PublicKeys
from simulated_whatsapp.multidevice.protocol.link_codes import LinkCodes
from simulated_whatsapp.multidevice.protocol.logins import Logins
from simulated_whatsapp.multidevice.protocol.lookups import looked_up
from simulated_whatsapp.multidevice.protocol.messages import Messages
from simulated_whatsapp.multidevice.protocol.pairing import Pairing
from simulated_whatsapp.multidevice.protocol.questions import Questions, nothing, privacy
from simulated_whatsapp.multidevice.protocol.reading import PhoneReading
from simulated_whatsapp.multidevice.protocol.receipts import Receipts
from simulated_whatsapp.multidevice.protocol.writing import PhoneWriting
from simulated_whatsapp.multidevice.server.connection import Connection
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.wire.noise import Finished
from simulated_whatsapp.multidevice.world.faults import Fault
from simulated_whatsapp.multidevice.world.ledger import Events
from simulated_whatsapp.multidevice.world.people import LinkedDevice
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World


class Service:
    """All of WhatsApp that a client can see. ``media`` is the host and port that files go to, ``kept`` what is there
    at a path."""

    def __init__(
        self,
        events: Events,
        clock: Callable[[], float],
        media: str,
        kept: Callable[[str], bytes | None] = lambda _: None,
    ) -> None:
        self.world = World(
            events, clock, lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call), kept
        )
        self.post = Post(self.world)
        self.keys = PublicKeys(self.world, self.post)
        self.contacts = Contacts(self.world, self.post)
        self.pairing = Pairing(self.world, self.contacts)
        self.logins = Logins(self.world, self.contacts)
        self.reading = PhoneReading(self.world, self.post)
        self.writing = PhoneWriting(self.world, self.post, self.keys, self.contacts)
        self.link_codes = LinkCodes(self.world, self.pairing)
        self.groups = GroupQuestions(self.world, self.post)
        self._messages = Messages(self.world, self.post, self.reading, self.contacts)
        self._receipts = Receipts(self.world, self.post, self.writing)
        self._questions = Questions(self.world, self.post, self.pairing, self.link_codes, self.logins, media)
        self._questions.answer("encrypt", self.keys.asked, self.keys.given)
        self._questions.answer("usync", partial(looked_up, self.world, self.contacts), nothing)
        self._questions.answer("privacy", privacy, self.contacts.ordered)
        self._questions.answer("w:g2", self.groups.asked, self.groups.changed)
        self._devices: dict[str, LinkedDevice] = {}

    def opened(self, connection: Connection, finished: Finished) -> None:
        """The handshake is done: ``ClientPayload`` {1 number, 18 device} logs in, {19 keys} wants to be linked."""
        try:
            payload = protobuf.fields(finished.payload)
            keys = protobuf.part(payload, 19)
            if keys is not None and not protobuf.number(payload, 1):
                self.pairing.opened(connection, finished.static, protobuf.fields(keys))
                return
        except protobuf.Malformed:
            connection.end(node("failure", reason="400"))
            return
        device = self.logins.login(connection, finished.static, payload)
        if device is not None:
            self._devices[connection.name] = device

    def heard(self, connection: Connection, said: Node) -> float:
        """Something a connection says; the seconds for which it is frozen from now on."""
        device = self._devices.get(connection.name)
        if device is None:
            if said.tag == "iq":
                self._questions.unlinked(connection, said)
            return 0.0
        frozen = self.world.faults.take(Fault.FREEZE, device.name)
        self._from_device(device, connection, said)
        return frozen.seconds if frozen is not None else 0.0

    @property
    def linger_s(self) -> float:
        return self.world.rules.linger_ms / 1000

    def closed(self, connection: Connection, why: str) -> None:
        self.pairing.closed(connection)
        device = self._devices.pop(connection.name, None)
        if device is not None:
            self.logins.left(device, connection, why)
        elif "understood" in why:
            self.world.events.write("not_understood", connection=connection.name, label=connection.label, why=why)

    def _from_device(self, device: LinkedDevice, connection: Connection, said: Node) -> None:
        match said.tag:
            case "iq":
                self._questions.asked(device, connection, said)
            case "message":
                self._messages.sent(device, connection, said)
            case "receipt":
                self._receipts.said(device, connection, said)
            case "ack":
                self._receipts.acknowledged(device, connection, said)
            case "presence" if said.get("name"):
                device.push_name = said.get("name")
            case "chatstate":
                state = said.children[0].tag if said.children else ""
                self.world.events.write(
                    "chat_state", device=device.name, chat=said.get("to"), state=state, label=connection.label
                )
            case _:
                pass  # presence and telemetry: nobody waits for an answer

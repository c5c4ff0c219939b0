"""Messages of linked devices: accepted, passed to every device they name, acknowledged (as in Baileys 7.0.0-rc14).

The server does not know whether it has seen an id before: a repeat is passed on like anything else, and the recipients
drop it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from simulated_whatsapp.multidevice.phones.phone import Sealed
from simulated_whatsapp.multidevice.protocol.contacts import Contacts
from simulated_whatsapp.multidevice.protocol.reading import Letter, PhoneReading
from simulated_whatsapp.multidevice.wire.jids import GROUPS, HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node
from simulated_whatsapp.multidevice.world.faults import Armed, Fault
from simulated_whatsapp.multidevice.world.people import Line, LinkedDevice, Person, device_name
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

RESTRICTED = 463
"""The error for a recipient that this sender may not reach out to."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one device gets of a message."""

    target: Jid
    encs: tuple[Node, ...]


class Messages:
    """From linked devices to phones and to other linked devices."""

    def __init__(self, world: World, post: Post, phones: PhoneReading, contacts: Contacts) -> None:
        self._world, self._post, self._phones, self._contacts = world, post, phones, contacts

    def sent(self, device: LinkedDevice, line: Line, stanza: Node) -> None:
        """A device sends a message."""
        faults = self._world.faults
        if faults.take(Fault.CUT_BEFORE_ACCEPTING, device.name):
            line.end()
            return
        refused = faults.take(Fault.ERROR_ACK, device.name)
        if refused is not None:
            self._refuse(device, line, stanza, refused.code or RESTRICTED, "as was armed")
            return
        try:
            parts = list(self._parts(device, stanza))
        except ValueError as wrong:
            self._refuse(device, line, stanza, 400, str(wrong))
            return
        to = self._world.people.at(Jid.read(stanza.get("to")))
        if to is not None and not self._contacts.may_write(device, to, stanza.all("tctoken")):
            self._refuse(device, line, stanza, RESTRICTED, "without the recipient's token")
            return
        self._accept(device, line, stanza, parts)
        self._acknowledge(device, line, stanza)

    def _parts(self, device: LinkedDevice, stanza: Node) -> Iterator[Part]:
        """What each device gets: what is for it by name, and what is for all. Raises ``ValueError``."""
        to, shared = Jid.read(stanza.get("to")), tuple(stanza.all("enc"))
        participants = stanza.child("participants")
        named = {each.get("jid"): tuple(each.all("enc")) for each in participants.all("to")} if participants else {}
        if to.server != GROUPS:
            yield from (Part(Jid.read(jid), encs) for jid, encs in named.items())
            if shared:
                yield Part(to, shared)
        elif stanza.get("participant"):
            yield Part(Jid.read(stanza.get("participant")), shared)
        else:
            for jid in self._devices_of(to, device):
                yield Part(jid, (*named.get(str(jid), ()), *shared))

    def _devices_of(self, group: Jid, sender: LinkedDevice) -> list[Jid]:
        """Every device of every member, but for the sender. Raises ``ValueError`` where the sender is no member."""
        found = self._world.groups.at(group)
        if found is None or sender.number not in found.members:
            raise ValueError(f"{sender.number} is in no group {group}")
        people = [self._world.people.person(number) for number in found.members]
        all_of_them = [person.address(HIDDEN, device) for person in people for device in (0, *person.devices)]
        own = self._world.people.person(sender.number).address(HIDDEN, sender.id)
        return [jid for jid in all_of_them if jid != own]

    def _refuse(self, device: LinkedDevice, line: Line, stanza: Node, code: int, why: str) -> None:
        self._world.events.write(
            "refused", message_id=stanza.get("id"), sender=device.name, error=code, why=why, label=line.label
        )
        line.send(_ack(stanza, self._world.seconds).with_attrs(error=str(code)))

    def _accept(self, device: LinkedDevice, line: Line, stanza: Node, parts: list[Part]) -> None:
        frame = hashlib.sha256(b"".join(enc.data for part in parts for enc in part.encs)).hexdigest()
        chat = self._name(Jid.read(stanza.get("to")))
        self._world.events.write(
            "accepted",
            message_id=stanza.get("id"),
            sender=device.name,
            chat=chat,
            kinds=sorted({enc.get("type") for part in parts for enc in part.encs}),
            frame_sha256=frame,
            label=line.label,
            connection=line.name,
            recipients=[self._name(part.target) for part in parts],
        )
        for part in parts:
            self._pass_on(device, line, stanza, part)

    def _pass_on(self, device: LinkedDevice, line: Line, stanza: Node, part: Part) -> None:
        person = self._world.people.at(part.target)
        if person is None:
            return
        if part.target.device:
            target = person.devices.get(part.target.device)
            if target is not None and target is not device:
                self._post.put(target, self._delivered(device, person, stanza, part))
            return
        chat = Jid.read(stanza.get("recipient") or stanza.get("to"))
        letter = Letter(
            id=stanza.get("id"),
            sender=device,
            chat=chat.bare,
            parts=tuple(Sealed(enc.get("type"), enc.data) for enc in part.encs),
            vouched=stanza.bytes_of("device-identity"),
            label=line.label,
            peer=stanza.get("category") == "peer",
        )
        self._phones.arrived(person, letter)

    def _delivered(self, device: LinkedDevice, to: Person, stanza: Node, part: Part) -> Node:
        """The message as another linked device gets it."""
        sender = self._world.people.person(device.number)
        chat = Jid.read(stanza.get("recipient") or stanza.get("to"))
        server = NUMBERS if chat.server == NUMBERS else HIDDEN
        attrs = {"id": stanza.get("id"), "t": self._world.seconds, "type": stanza.get("type") or "text"}
        attrs |= {"notify": device.push_name or sender.number}
        author, other = str(sender.address(server, device.id)), str(sender.address(_other(server)))
        hidden = "lid" if server == NUMBERS else "pn"
        if chat.server == GROUPS:
            attrs |= {"from": str(chat), "participant": author, f"participant_{hidden}": other}
            attrs |= {"addressing_mode": "lid"}
        else:
            attrs |= {"from": author, f"sender_{hidden}": other}
            attrs |= {"recipient": str(chat.bare)} if to is sender else {}
        vouched = [each for each in stanza.children if each.tag == "device-identity"]
        return Node("message", attrs, (*part.encs, *vouched))

    def _acknowledge(self, device: LinkedDevice, line: Line, stanza: Node) -> None:
        faults = self._world.faults
        if faults.take(Fault.CUT_AFTER_ACCEPTING, device.name):
            line.end()
            return
        if faults.take(Fault.DROP_ACK, device.name):
            return
        late: Armed | None = faults.take(Fault.DELAY_ACK, device.name)
        if late is None:
            self._send_ack(device, line, stanza)
        else:
            self._world.later(late.seconds, lambda: self._send_ack(device, line, stanza))

    def _send_ack(self, device: LinkedDevice, line: Line, stanza: Node) -> None:
        self._world.events.write(
            "acknowledged", message_id=stanza.get("id"), sender=device.name, label=line.label, connection=line.name
        )
        line.send(_ack(stanza, self._world.seconds))

    def _name(self, jid: Jid) -> str:
        person = self._world.people.at(jid)
        return device_name(person.number, jid.device) if person else str(jid)


def _ack(stanza: Node, seconds: str) -> Node:
    attrs = {"class": "message", "id": stanza.get("id"), "from": stanza.get("to"), "t": seconds}
    if stanza.get("participant"):
        attrs["participant"] = stanza.get("participant")
    return Node("ack", attrs)


def _other(server: str) -> str:
    return NUMBERS if server == HIDDEN else HIDDEN

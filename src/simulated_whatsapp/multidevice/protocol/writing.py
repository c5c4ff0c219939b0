"""What phones write: to people and to groups, once to each device, and again to whichever could not read it."""

import secrets

from simulated_whatsapp.multidevice.phones.content import own_copy, padded, with_sender_key
from simulated_whatsapp.multidevice.phones.phone import Sealed, Writing
from simulated_whatsapp.multidevice.protocol.contacts import Contacts
from simulated_whatsapp.multidevice.protocol.keys import PublicKeys, read_bundle
from simulated_whatsapp.multidevice.wire.jids import GROUPS, HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.world.groups import Group
from simulated_whatsapp.multidevice.world.people import LinkedDevice, Person
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World


class PhoneWriting:
    """All phones, as writers."""

    def __init__(self, world: World, post: Post, keys: PublicKeys, contacts: Contacts) -> None:
        self._world, self._post, self._keys, self._contacts = world, post, keys, contacts

    def to_person(self, person: Person, to: Person, message: bytes, id: str = "") -> str:
        """To somebody's linked devices, and a copy to each of one's own. The message's id."""
        named, recipient = id or _fresh(), str(to.address(NUMBERS))
        person.phone.write(named, Writing(recipient, message))
        if to.number not in person.phone.trusted:
            person.phone.trusted.add(to.number)
            self._contacts.trust(person, to)
        for device in to.devices.values():
            self._post.put(device, self._for_person(person, device, named, message))
        for device in person.devices.values() if to is not person else ():
            self._post.put(device, self._copy(person, device, named, recipient, message))
        return named

    def to_group(self, person: Person, group: Group, message: bytes, id: str = "") -> str:
        """To every linked device of every member. The message's id."""
        named, phone = id or _fresh(), person.phone
        phone.write(named, Writing(str(group.jid), message))
        distribution = with_sender_key(str(group.jid), phone.groups.distribution(str(group.jid)))
        shared = Node("enc", {"v": "2", "type": "skmsg"}, phone.groups.encrypt(str(group.jid), padded(message)))
        for device in self._devices_of(group):
            encs = [shared]
            if (str(group.jid), device.name) not in phone.given_keys:
                phone.given_keys.add((str(group.jid), device.name))
                encs.insert(0, self._enc(person, device, distribution))
            self._post.put(device, self._for_group(person, group, named, encs))
        return named

    def again(self, person: Person, device: LinkedDevice, receipt: Node) -> None:
        """A device could not read what this phone wrote: with a new session, it is written once more."""
        written = person.phone.writings.get(receipt.get("id"))
        if receipt.get("type") != "retry" or written is None:
            return
        retry, keys = receipt.child("retry"), receipt.child("keys")
        person.phone.identity.forget(device.name)
        if keys is not None:
            brought = read_bundle(node("bundle", *receipt.all("registration"), *keys.children))
            person.phone.identity.open(device.name, brought)
        count = retry.get("count") if retry is not None else "1"
        self._post.put(device, self._again(person, device, receipt.get("id"), written, count))

    def _again(self, person: Person, device: LinkedDevice, id: str, written: Writing, count: str) -> Node:
        to = Jid.read(written.to)
        if to.server == GROUPS:
            key = with_sender_key(written.to, person.phone.groups.distribution(written.to), written.message)
            group = self._world.groups.at(to)
            assert group is not None
            return self._for_group(person, group, id, [self._enc(person, device, key, count)])
        if device.number == person.number and to.user != person.number:
            return self._copy(person, device, id, written.to, written.message, count)
        return self._for_person(person, device, id, written.message, count)

    def _devices_of(self, group: Group) -> list[LinkedDevice]:
        people = [self._world.people.person(number) for number in group.members]
        return [device for person in people for device in person.devices.values()]

    def _copy(
        self, person: Person, device: LinkedDevice, id: str, recipient: str, message: bytes, count: str = ""
    ) -> Node:
        copy = self._for_person(person, device, id, own_copy(recipient, message), count)
        return copy.with_attrs(recipient=recipient)

    def _for_person(self, person: Person, device: LinkedDevice, id: str, message: bytes, count: str = "") -> Node:
        enc = self._enc(person, device, message, count)
        hidden = str(person.address(HIDDEN))
        return self._stanza(person, id, [enc], {"from": str(person.address(NUMBERS)), "sender_lid": hidden})

    def _for_group(self, person: Person, group: Group, id: str, encs: list[Node]) -> Node:
        author = {"participant": str(person.address(HIDDEN)), "participant_pn": str(person.address(NUMBERS))}
        return self._stanza(person, id, encs, {"from": str(group.jid), "addressing_mode": "lid"} | author)

    def _stanza(self, person: Person, id: str, encs: list[Node], attrs: dict[str, str]) -> Node:
        told = {"id": id, "t": self._world.seconds, "type": "text", "notify": person.number}
        return Node("message", attrs | told, tuple(encs))

    def _enc(self, person: Person, device: LinkedDevice, message: bytes, count: str = "") -> Node:
        sealed: Sealed = person.phone.sealed_for(device.name, message, lambda: self._keys.bundle_of(device))
        attrs = {"v": "2", "type": sealed.kind} | ({"count": count} if count else {})
        return Node("enc", attrs, sealed.data)


def _fresh() -> str:
    return "3A" + secrets.token_hex(9).upper()

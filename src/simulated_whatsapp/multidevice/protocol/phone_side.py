"""Between linked devices and phones: brings letters to a phone, tells of what it showed, and sends what it writes."""

import hashlib
import secrets
from collections import deque
from dataclasses import dataclass

from simulated_whatsapp.multidevice.phones.content import own_copy
from simulated_whatsapp.multidevice.phones.phone import Incoming, Reading, Sealed
from simulated_whatsapp.multidevice.protocol.keys import PublicKeys, bundle_nodes, read_bundle
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.world.people import Label, LinkedDevice, Person
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

KEYS_FROM_RETRY = 2
"""The second request for the same message brings the phone's keys along."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message for a phone, and what is known of its way."""

    id: str
    sender: LinkedDevice
    chat: Jid
    parts: tuple[Sealed, ...]
    vouched: bytes
    label: Label
    peer: bool = False


class PhoneSide:
    """All phones."""

    def __init__(self, world: World, post: Post, keys: PublicKeys) -> None:
        self._world, self._post, self._keys = world, post, keys
        self._away: dict[str, deque[Letter]] = {}

    def arrived(self, person: Person, letter: Letter) -> None:
        """A letter for a phone: read at once, or when it is back."""
        if person.phone.online:
            self._read(person, letter)
        else:
            self._away.setdefault(person.number, deque(maxlen=10_000)).append(letter)

    def is_back(self, person: Person) -> None:
        """The phone has a network again."""
        person.phone.online = True
        for letter in self._away.pop(person.number, ()):
            self._read(person, letter)

    def receipt(self, person: Person, device: LinkedDevice, receipt: Node) -> None:
        """What a linked device says of a message that this phone wrote: what it could not read is written again."""
        message = person.phone.writings.get(receipt.get("id"))
        if receipt.get("type") != "retry" or message is None:
            return
        retry = receipt.child("retry")
        person.phone.identity.forget(device.name)
        keys = receipt.child("keys")
        if keys is not None:
            brought = read_bundle(node("bundle", *receipt.all("registration"), *keys.children))
            person.phone.identity.open(device.name, brought)
        count = retry.get("count") if retry is not None else "1"
        self._post.put(device, self._written(person, device, receipt.get("id"), message, count))

    def write(self, person: Person, to: Person, message: bytes, id: str = "") -> str:
        """The phone writes to somebody's linked devices, and a copy to each of its own. The message's id."""
        named = id or "3A" + secrets.token_hex(9).upper()
        person.phone.write(named, message)
        for device in to.devices.values():
            self._post.put(device, self._written(person, device, named, message))
        for device in person.devices.values() if to is not person else ():
            recipient = str(to.address(NUMBERS))
            copy = self._written(person, device, named, own_copy(recipient, message))
            self._post.put(device, copy.with_attrs(recipient=recipient))
        return named

    def _written(self, person: Person, device: LinkedDevice, id: str, message: bytes, count: str = "") -> Node:
        sealed = person.phone.sealed_for(device.name, message, lambda: self._keys.bundle_of(device))
        attrs = {"v": "2", "type": sealed.kind} | ({"count": count} if count else {})
        return node(
            "message",
            Node("enc", attrs, sealed.data),
            from_=str(person.address(NUMBERS)),
            id=id,
            t=self._world.seconds,
            type="text",
            notify=person.number,
            sender_lid=str(person.address(HIDDEN)),
        )

    def _read(self, person: Person, letter: Letter) -> None:
        sender = self._world.people.person(letter.sender.number)
        chat = self._world.people.at(letter.chat)
        account = sender.phone.identity.pair.public
        person.phone.drops_repeats = self._world.rules.drop_repeats
        name = chat.number if chat else str(letter.chat)
        reading = person.phone.read(
            Incoming(letter.id, letter.sender.name, name, letter.parts, letter.vouched, account)
        )
        self._note(person, letter, name, reading)
        if letter.peer or (sender is person and reading.seen != "undecryptable"):
            return
        if reading.seen != "undecryptable":
            self._post.put(letter.sender, self._receipt(person, letter, sender))
        elif reading.retry:
            self._post.put(letter.sender, self._retry(person, letter, sender, reading.retry))

    def _note(self, person: Person, letter: Letter, chat: str, reading: Reading) -> None:
        said = reading.content
        told = {"text": said.text, "kind": said.kind, "own_copy": said.sent_to is not None} if said else {}
        told |= {"about": said.about} if said and said.about else {}
        told |= {"why": reading.why} if reading.why else {}
        self._world.events.write(
            "peer" if letter.peer and reading.seen == "nothing" else reading.seen,
            message_id=letter.id,
            recipient=person.number,
            sender=letter.sender.name,
            chat=chat,
            **told,
            ciphertext_sha256=hashlib.sha256(b"".join(part.data for part in letter.parts)).hexdigest(),
            label=letter.label,
            retry=reading.retry,
        )

    def _receipt(self, person: Person, letter: Letter, sender: Person, *content: Node, **attrs: str) -> Node:
        server = NUMBERS if letter.chat.server == NUMBERS else HIDDEN
        own = str(person.address(server))
        where = {"from": own}
        if not letter.chat.is_person:
            where = {"from": str(letter.chat), "participant": own}
        elif sender is person:
            where |= {"recipient": str(letter.chat)}
        return Node("receipt", where | {"id": letter.id, "t": self._world.seconds} | attrs, content)

    def _retry(self, person: Person, letter: Letter, sender: Person, count: int) -> Node:
        """The phone asks for a message again."""
        retry = node("retry", v="1", count=str(count), id=letter.id, t=self._world.seconds)
        registration = leaf("registration", person.phone.identity.registration.to_bytes(4, "big"))
        told = [retry, registration]
        if count >= KEYS_FROM_RETRY:
            told.append(node("keys", *bundle_nodes(person.phone.identity.bundle())[1:]))
        return self._receipt(person, letter, sender, *told, type="retry")

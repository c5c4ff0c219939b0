"""Between linked devices and phones: brings letters to a phone, and tells of what it showed."""

import hashlib
from collections import deque
from dataclasses import dataclass

from simulated_whatsapp.multidevice.phones.files import NamedFile
from simulated_whatsapp.multidevice.phones.phone import Incoming, Reading, Sealed
from simulated_whatsapp.multidevice.protocol.keys import bundle_nodes
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.protobuf import Malformed
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


class PhoneReading:
    """All phones, as readers."""

    def __init__(self, world: World, post: Post) -> None:
        self._world, self._post = world, post
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
        told = {"text": said.text, "kind": said.kind, "own_copy": letter.sender.number == person.number} if said else {}
        told |= {"about": said.about} if said and said.about else {}
        told |= self._opened(said.file) if said and said.file else {}
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

    def _opened(self, file: NamedFile) -> dict[str, object]:
        """The file, as the phone has it now: what is written down of it is of its bytes."""
        try:
            plain = file.opened(self._world.files)
        except Malformed as problem:
            return {"file_broken": str(problem)}
        sha256 = hashlib.sha256(plain).hexdigest()
        return {"file_sha256": sha256, "file_mime_type": file.mime_type, "file_name": file.name}

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

"""What people are told of each other: changes of their devices, and tokens that say who may write to whom.

As in Baileys 7.0.0-rc14: a ``devices`` notification has ``add`` or ``remove`` around the devices; a ``privacy_token``
one brings the token that whoever is trusted has to show in messages (``tctoken``), where tokens are wanted.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable

from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.world.people import LinkedDevice, Person
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

TOKEN_BYTES = 16


class Contacts:
    """Who asked for whose devices, and who trusts whom."""

    def __init__(self, world: World, post: Post) -> None:
        self._world, self._post = world, post
        self._curious: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._tokens: dict[tuple[str, str], bytes] = {}

    def asked(self, device: LinkedDevice, number: str) -> None:
        """This device keeps a list of that number's devices from now on."""
        self._curious[number][device.name] = None

    def changed(self, person: Person, change: str, device: int) -> None:
        """A device came (``add``) or went (``remove``): one's other devices hear of it, and whoever asked."""
        jid = str(person.address(NUMBERS, device))
        told = Node(
            change, {"device_hash": "2:" + secrets.token_hex(4)}, (node("device", jid=jid, key__index=str(device)),)
        )
        names = {other.name: None for other in person.devices.values()} | self._curious[person.number]
        for name in names:
            to = self._world.people.device(name)
            if to is not None and to.name != f"{person.number}:{device}":
                self._tell(to, person, "devices", told)

    def ordered(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        """A device says whom its number trusts; other privacy settings change nothing here."""
        tokens = question.child("tokens") or node("tokens")
        for each in tokens.all("token"):
            trusted = self._world.people.at(Jid.read(each.get("jid")))
            if trusted is not None:
                self.trust(self._world.people.person(device.number), trusted)
        return ()

    def trust(self, person: Person, trusted: Person) -> None:
        """``trusted`` may write to ``person``: its linked devices get the token for it."""
        key = (person.number, trusted.number)
        token = self._tokens.setdefault(key, secrets.token_bytes(TOKEN_BYTES))
        for device in trusted.devices.values():
            attrs = {"jid": str(trusted.address(NUMBERS)), "t": self._world.seconds, "type": "trusted_contact"}
            self._tell(device, person, "privacy_token", node("tokens", Node("token", attrs, token)))

    def may_write(self, sender: LinkedDevice, to: Person, shown: Iterable[Node]) -> bool:
        """Whether a message may go to this number: where tokens are wanted, with the right one."""
        if not self._world.rules.tokens_required or to.number == sender.number:
            return True
        right = self._tokens.get((to.number, sender.number))
        return right is not None and any(token.data == right for token in shown)

    def _tell(self, device: LinkedDevice, about: Person, kind: str, told: Node) -> None:
        attrs = {
            "from": str(about.address(NUMBERS)),
            "type": kind,
            "id": secrets.token_hex(8),
            "t": self._world.seconds,
        }
        self._post.put(device, Node("notification", attrs | {"sender_lid": str(about.address(HIDDEN))}, (told,)))

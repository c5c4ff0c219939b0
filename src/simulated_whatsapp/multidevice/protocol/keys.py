"""Public keys, given and asked for: the ``encrypt`` questions (stanzas as in Baileys 7.0.0-rc14)."""

import secrets

from simulated_whatsapp.multidevice.signal.bundles import Bundle, Prekey, SignedPrekey
from simulated_whatsapp.multidevice.wire.curve import KEY_TYPE
from simulated_whatsapp.multidevice.wire.jids import Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.secrets import sha256
from simulated_whatsapp.multidevice.world.people import LinkedDevice
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

MAX_PREKEYS = 5000


class Refused(Exception):
    """A question gets an error for an answer: the code is HTTP's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def read_bundle(given: Node) -> Bundle:
    """The keys in a node that holds a bundle. Raises ``Refused``."""
    signed = read_signed(given.child("skey"))
    key = given.child("key")
    prekey = _read_prekey(key) if key is not None else None
    registration = int.from_bytes(given.bytes_of("registration"), "big")
    return Bundle(registration, given.bytes_of("identity"), signed, prekey)


def read_signed(given: Node | None) -> SignedPrekey:
    if given is None:
        raise Refused(400, "no signed prekey")
    number = int.from_bytes(given.bytes_of("id"), "big")
    return SignedPrekey(number, given.bytes_of("value"), given.bytes_of("signature"))


def bundle_nodes(bundle: Bundle) -> tuple[Node, ...]:
    """A bundle as nodes; without a one-time prekey where it has none."""
    found = (
        leaf("registration", bundle.registration.to_bytes(4, "big")),
        leaf("type", KEY_TYPE),
        leaf("identity", bundle.identity),
        _signed_node(bundle.signed),
    )
    return found if bundle.prekey is None else (*found, _prekey_node(bundle.prekey))


class PublicKeys:
    """What each device published."""

    def __init__(self, world: World, post: Post) -> None:
        self._world, self._post = world, post

    def asked(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        """The answer to a question of a device. Raises ``Refused``."""
        if question.child("count") is not None:
            return (node("count", value=str(len(device.prekeys))),)
        if question.child("digest") is not None:
            return (self._digest(device),)
        wanted = question.child("key")
        if wanted is None:
            return ()
        return (node("list", *(self._bundle(each.get("jid")) for each in wanted.all("user"))),)

    def given(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        """New keys of a device. Raises ``Refused`` for a signature that is not its identity's."""
        rotated = question.child("rotate")
        signed = read_signed((rotated or question).child("skey"))
        if not signed.is_by(device.identity):
            raise Refused(406, "the signed prekey is not signed by this device")
        device.signed = signed
        listed = question.child("list")
        if rotated is None and listed is not None:
            fresh = [_read_prekey(key) for key in listed.all("key")]
            known = {key.id for key in device.prekeys}
            device.prekeys.extend(key for key in fresh if key.id not in known)
            if len(device.prekeys) > MAX_PREKEYS:
                raise Refused(406, f"more than {MAX_PREKEYS} prekeys")
        self._world.events.write("keys", device=device.name, rotated=rotated is not None, prekeys=len(device.prekeys))
        return ()

    def bundle_of(self, device: LinkedDevice) -> Bundle:
        """A bundle to write to a device with; it is told when its one-time prekeys run low."""
        bundle = device.bundle()
        left = len(device.prekeys)
        if left < self._world.rules.prekeys_low and (bundle.prekey is not None):
            told = node("notification", node("count", value=str(left)), from_="s.whatsapp.net", type="encrypt")
            self._post.put(device, told.with_attrs(id=secrets.token_hex(8), t=self._world.seconds))
        return bundle

    def _bundle(self, address: str) -> Node:
        try:
            jid = Jid.read(address)
        except ValueError as wrong:
            raise Refused(400, str(wrong)) from wrong
        person = self._world.people.at(jid)
        if person is None or not person.phone.registered:
            return node("user", node("error", code="404", text="item-not-found"), jid=address)
        if not jid.device:
            return node("user", *bundle_nodes(person.phone.identity.bundle()), jid=address)
        device = person.devices.get(jid.device)
        if device is None:
            return node("user", node("error", code="404", text="item-not-found"), jid=address)
        vouched = leaf("device-identity", device.signed_identity)
        return node("user", *bundle_nodes(self.bundle_of(device)), vouched, jid=address)

    def _digest(self, device: LinkedDevice) -> Node:
        if not device.prekeys:
            raise Refused(404, "item-not-found")
        ids = [leaf("id", key.id.to_bytes(3, "big")) for key in device.prekeys]
        together = device.identity + device.signed.public + b"".join(key.public for key in device.prekeys)
        keys = bundle_nodes(Bundle(device.registration, device.identity, device.signed, None))
        return node("digest", *keys, node("list", *ids), leaf("hash", sha256(together)[:20]))


def _read_prekey(key: Node) -> Prekey:
    return Prekey(int.from_bytes(key.bytes_of("id"), "big"), key.bytes_of("value"))


def _prekey_node(key: Prekey) -> Node:
    return node("key", leaf("id", key.id.to_bytes(3, "big")), leaf("value", key.public))


def _signed_node(key: SignedPrekey) -> Node:
    number = leaf("id", key.id.to_bytes(3, "big"))
    return node("skey", number, leaf("value", key.public), leaf("signature", key.signature))

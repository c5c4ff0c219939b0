"""The double ratchet of one session: a new key for each message, and none that opens a message twice.

A message is version byte 0x33, protobuf {1 ratchet key, 2 counter, 3 previous counter, 4 ciphertext} and 8 bytes of MAC
over both identities and what stands before it.
"""

from dataclasses import dataclass, field, replace

from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, agreed, new_pair, typed, untyped
from simulated_whatsapp.multidevice.wire.secrets import authenticated, cbc_opened, cbc_sealed, derived

VERSION = b"\x33"
MAX_SKIPPED = 2000
MAX_CHAINS = 5
_MAC_BYTES = 8


class Undecryptable(Exception):
    """No key here opens this message."""


class AlreadyDecrypted(Undecryptable):
    """This message's key was used: these very bytes were opened before."""


@dataclass(slots=True)
class Chain:
    """One direction between two steps of the ratchet. ``skipped`` are keys of messages that have not come yet."""

    key: bytes
    next: int = 0
    skipped: dict[int, bytes] = field(default_factory=dict)

    def step(self) -> bytes:
        """The next message's key."""
        message_key = authenticated(self.key, b"\x01")
        self.key = authenticated(self.key, b"\x02")
        self.next += 1
        return message_key


@dataclass(slots=True)
class Ratchet:
    """Both directions of one session, as one side has them. Identities are typed keys."""

    ours: bytes
    theirs: bytes
    root: bytes
    pair: KeyPair
    sending: Chain | None = None
    previous: int = 0
    receiving: dict[bytes, Chain] = field(default_factory=dict)

    def start_sending(self, their_key: bytes) -> None:
        """A step with their key, before anything came from them."""
        self.root, chain = _stepped(self.root, agreed(self.pair.private, their_key))
        self.sending = Chain(chain)

    def encrypt(self, plain: bytes) -> bytes:
        if self.sending is None:
            raise Undecryptable("nothing was agreed for this direction yet")
        counter = self.sending.next
        cipher, mac, start = _message_keys(self.sending.step())
        said = VERSION + protobuf.message(
            (1, typed(self.pair.public)), (2, counter), (3, self.previous), (4, cbc_sealed(cipher, start, plain))
        )
        return said + _mac(mac, self.ours, self.theirs, said)

    def decrypt(self, data: bytes) -> bytes:
        """The plain text; the ratchet moves on only if it opened. Raises ``Undecryptable``, ``AlreadyDecrypted``."""
        trial = self._copy()
        plain = trial._opened(data)
        for name in ("root", "pair", "sending", "previous", "receiving"):
            setattr(self, name, getattr(trial, name))
        return plain

    def _copy(self) -> "Ratchet":
        receiving = {key: replace(chain, skipped=dict(chain.skipped)) for key, chain in self.receiving.items()}
        return replace(self, sending=replace(self.sending) if self.sending else None, receiving=receiving)

    def _opened(self, data: bytes) -> bytes:
        said, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        their_key, counter, previous, sealed = _parsed(said)
        if their_key not in self.receiving:
            self._turn(their_key, previous)
        message_key = self._key_of(self.receiving[their_key], counter)
        cipher, mac_key, start = _message_keys(message_key)
        if _mac(mac_key, self.theirs, self.ours, said) != mac:
            raise Undecryptable("the MAC is wrong")
        try:
            return cbc_opened(cipher, start, sealed)
        except ValueError as wrong:
            raise Undecryptable("the padding is wrong") from wrong

    def _turn(self, their_key: bytes, previous: int) -> None:
        """They have a new ratchet key: a step for what comes, and one for what will be sent."""
        for chain in list(self.receiving.values())[-1:]:
            _skip(chain, previous)
        try:
            self.root, receiving = _stepped(self.root, agreed(self.pair.private, their_key))
            self.previous = self.sending.next if self.sending else 0
            self.pair = new_pair()
            self.root, sending = _stepped(self.root, agreed(self.pair.private, their_key))
        except ValueError as wrong:
            raise Undecryptable(str(wrong)) from wrong
        self.sending = Chain(sending)
        self.receiving[their_key] = Chain(receiving)
        for old in list(self.receiving)[:-MAX_CHAINS]:
            del self.receiving[old]

    def _key_of(self, chain: Chain, counter: int) -> bytes:
        if counter < chain.next:
            if counter not in chain.skipped:
                raise AlreadyDecrypted(f"message {counter} of its chain was opened before")
            return chain.skipped.pop(counter)
        _skip(chain, counter)
        return chain.step()


def _skip(chain: Chain, until: int) -> None:
    if until - chain.next > MAX_SKIPPED:
        raise Undecryptable(f"more than {MAX_SKIPPED} messages are missing")
    while chain.next < until:
        counter = chain.next
        chain.skipped[counter] = chain.step()


def _parsed(said: bytes) -> tuple[bytes, int, int, bytes]:
    if not said.startswith(VERSION):
        raise Undecryptable("a message of another version")
    try:
        given = protobuf.fields(said[1:])
        key = untyped(protobuf.part(given, 1) or b"")
    except ValueError as wrong:
        raise Undecryptable(str(wrong)) from wrong
    return key, protobuf.number(given, 2), protobuf.number(given, 3), protobuf.part(given, 4) or b""


def _stepped(root: bytes, secret: bytes) -> tuple[bytes, bytes]:
    material = derived(secret, 64, salt=root, info=b"WhisperRatchet")
    return material[:32], material[32:]


def _message_keys(key: bytes) -> tuple[bytes, bytes, bytes]:
    material = derived(key, 80, info=b"WhisperMessageKeys")
    return material[:32], material[32:64], material[64:]


def _mac(key: bytes, sender: bytes, receiver: bytes, said: bytes) -> bytes:
    return authenticated(key, sender + receiver + said)[:_MAC_BYTES]

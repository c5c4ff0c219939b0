"""Sender keys: in a group each device has one chain, whose start it gives to every other device once.

A group message is 0x33, protobuf {1 key id, 2 iteration, 3 ciphertext} and a signature of 64 bytes over both; a
distribution is 0x33 and protobuf {1 key id, 2 iteration, 3 chain key, 4 signing key (typed)}.
"""

import secrets
from dataclasses import dataclass, field

from simulated_whatsapp.multidevice.signal.ratchet import MAX_SKIPPED, VERSION, AlreadyDecrypted, Undecryptable
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair, sign, typed, untyped, verified
from simulated_whatsapp.multidevice.wire.secrets import authenticated, cbc_opened, cbc_sealed, derived

_SIGNATURE_BYTES = 64
MAX_KEYS = 5
"""Of one device in one group: after it changed its key, what was late still opens."""


@dataclass(slots=True)
class SenderChain:
    """One device's chain in one group."""

    id: int
    chain: bytes
    iteration: int
    signing: bytes
    skipped: dict[int, bytes] = field(default_factory=dict)

    def step(self) -> bytes:
        seed = authenticated(self.chain, b"\x01")
        self.chain = authenticated(self.chain, b"\x02")
        self.iteration += 1
        return seed

    def seed(self, iteration: int) -> bytes:
        """The seed of one message. Raises ``AlreadyDecrypted``, ``Undecryptable``."""
        if iteration < self.iteration:
            if iteration not in self.skipped:
                raise AlreadyDecrypted(f"group message {iteration} was opened before")
            return self.skipped.pop(iteration)
        if iteration - self.iteration > MAX_SKIPPED:
            raise Undecryptable(f"more than {MAX_SKIPPED} group messages are missing")
        while self.iteration < iteration:
            at = self.iteration
            self.skipped[at] = self.step()
        return self.step()


@dataclass(slots=True)
class _Own:
    chain: SenderChain
    signing: KeyPair


class GroupKeys:
    """All sender keys that a device has: its own in each group, and those that it was given."""

    def __init__(self) -> None:
        self._own: dict[str, _Own] = {}
        self._given: dict[tuple[str, str], dict[int, SenderChain]] = {}

    def distribution(self, group: str) -> bytes:
        """The own key as it is now, for a device that does not have it."""
        own = self._mine(group)
        return VERSION + protobuf.message(
            (1, own.chain.id), (2, own.chain.iteration), (3, own.chain.chain), (4, typed(own.signing.public))
        )

    def encrypt(self, group: str, plain: bytes) -> bytes:
        own = self._mine(group)
        iteration = own.chain.iteration
        start, key = _keys(own.chain.step())
        said = VERSION + protobuf.message((1, own.chain.id), (2, iteration), (3, cbc_sealed(key, start, plain)))
        return said + sign(own.signing.private, said)

    def learn(self, group: str, sender: str, distribution: bytes) -> None:
        """Raises ``Undecryptable`` for what is no distribution. A key that is known already is not taken back."""
        try:
            given = protobuf.fields(distribution[1:])
            signing = untyped(protobuf.part(given, 4) or b"")
        except ValueError as wrong:
            raise Undecryptable(str(wrong)) from wrong
        chains = self._given.setdefault((group, sender), {})
        number = protobuf.number(given, 1)
        if number not in chains:
            chains[number] = SenderChain(number, protobuf.part(given, 3) or b"", protobuf.number(given, 2), signing)
        for old in list(chains)[:-MAX_KEYS]:
            del chains[old]

    def decrypt(self, group: str, sender: str, data: bytes) -> bytes:
        """Raises ``Undecryptable``, ``AlreadyDecrypted``."""
        said, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
        try:
            given = protobuf.fields(said[1:])
        except protobuf.Malformed as wrong:
            raise Undecryptable(str(wrong)) from wrong
        chain = self._given.get((group, sender), {}).get(protobuf.number(given, 1))
        if chain is None:
            raise Undecryptable("the sender's key for this group is not known")
        if not verified(chain.signing, said, signature):
            raise Undecryptable("the group message is not signed by its sender")
        start, key = _keys(chain.seed(protobuf.number(given, 2)))
        try:
            return cbc_opened(key, start, protobuf.part(given, 3) or b"")
        except ValueError as wrong:
            raise Undecryptable("the padding is wrong") from wrong

    def forget(self) -> None:
        self._own.clear()
        self._given.clear()

    def _mine(self, group: str) -> _Own:
        if group not in self._own:
            signing = new_pair()
            chain = SenderChain(secrets.randbits(31), secrets.token_bytes(32), 0, signing.public)
            self._own[group] = _Own(chain, signing)
        return self._own[group]


def _keys(seed: bytes) -> tuple[bytes, bytes]:
    """The start and the key of a message."""
    material = derived(seed, 48, info=b"WhisperGroup")
    return material[:16], material[16:]

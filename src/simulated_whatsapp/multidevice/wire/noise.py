"""Noise XX with X25519, AES-GCM and SHA-256, as WhatsApp shapes it.

From "The Noise Protocol Framework" (revision 34), with what Baileys 7.0.0-rc14 shows of WhatsApp's shape: the
protocol's name is its own hash (32 bytes), the prologue is the header of the first frame, the first message mixes no
empty payload, and the three messages are protobuf (``HandshakeMessage``: 2 hello, 3 answer, 4 finish; in each 1
ephemeral or static, 2 static or payload, 3 payload).
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, agreed, new_pair
from simulated_whatsapp.multidevice.wire.secrets import derived, gcm_opened, gcm_sealed, sha256

PROTOCOL = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
HEADER = b"WA\x06\x03"


class HandshakeFailed(Exception):
    """The other side did not say what belongs here."""


class SymmetricState:
    """The running hash, the chaining key and the key of a handshake (Noise, 5.2)."""

    def __init__(self, prologue: bytes = HEADER) -> None:
        self.hash = self._chaining = PROTOCOL
        self._key = b""
        self._count = 0
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        self.hash = sha256(self.hash + data)

    def mix_key(self, secret: bytes) -> None:
        material = derived(secret, 64, salt=self._chaining)
        self._chaining, self._key, self._count = material[:32], material[32:], 0

    def seal(self, plain: bytes) -> bytes:
        sealed = gcm_sealed(self._key, self._nonce(), plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Raises ``HandshakeFailed``."""
        try:
            plain = gcm_opened(self._key, self._nonce(), sealed, self.hash)
        except (InvalidTag, ValueError) as wrong:
            raise HandshakeFailed("a sealed part does not open") from wrong
        self.mix_hash(sealed)
        return plain

    def split(self) -> tuple[bytes, bytes]:
        """The keys of the two directions: the initiator's first."""
        material = derived(b"", 64, salt=self._chaining)
        return material[:32], material[32:]

    def _nonce(self) -> bytes:
        self._count += 1
        return _nonce(self._count - 1)


class Transport:
    """After the handshake: each direction has its key, and counts."""

    def __init__(self, sending: bytes, receiving: bytes) -> None:
        self._sending, self._receiving = sending, receiving
        self._sent = self._received = 0

    def seal(self, plain: bytes) -> bytes:
        self._sent += 1
        return gcm_sealed(self._sending, _nonce(self._sent - 1), plain)

    def open(self, sealed: bytes) -> bytes:
        """Raises ``HandshakeFailed``."""
        self._received += 1
        try:
            return gcm_opened(self._receiving, _nonce(self._received - 1), sealed)
        except (InvalidTag, ValueError) as wrong:
            raise HandshakeFailed("a frame does not open") from wrong


@dataclass(frozen=True, slots=True)
class Finished:
    """The other side's static key, what it said of itself, and the way to go on."""

    static: bytes
    payload: bytes
    transport: Transport


class Responder:
    """The server's side of one handshake."""

    def __init__(self, static: KeyPair, chain: bytes) -> None:
        self._static, self._chain = static, chain
        self._ephemeral = new_pair()
        self._state = SymmetricState()

    def answer(self, hello: bytes) -> bytes:
        """The second message. Raises ``HandshakeFailed``."""
        theirs = _needed(_inner(hello, 2), 1)
        state = self._state
        state.mix_hash(theirs)
        state.mix_hash(self._ephemeral.public)
        state.mix_key(_agreed(self._ephemeral.private, theirs))
        static = state.seal(self._static.public)
        state.mix_key(_agreed(self._static.private, theirs))
        said = protobuf.message((1, self._ephemeral.public), (2, static), (3, state.seal(self._chain)))
        return protobuf.message((3, said))

    def finish(self, message: bytes) -> Finished:
        """What the third message brought. Raises ``HandshakeFailed``."""
        given = _inner(message, 4)
        static = self._state.open(_needed(given, 1))
        self._state.mix_key(_agreed(self._ephemeral.private, static))
        payload = self._state.open(_needed(given, 2))
        receiving, sending = self._state.split()
        return Finished(static, payload, Transport(sending, receiving))


class Initiator:
    """A client's side of one handshake."""

    def __init__(self, static: KeyPair) -> None:
        self._static = static
        self._ephemeral = new_pair()
        self._state = SymmetricState()

    def hello(self) -> bytes:
        self._state.mix_hash(self._ephemeral.public)
        return protobuf.message((2, protobuf.message((1, self._ephemeral.public))))

    def server(self, answer: bytes) -> tuple[bytes, bytes]:
        """The server's static key and its certificates, to be checked before going on. Raises ``HandshakeFailed``."""
        given, state = _inner(answer, 3), self._state
        self._theirs = _needed(given, 1)
        state.mix_hash(self._theirs)
        state.mix_key(_agreed(self._ephemeral.private, self._theirs))
        static = state.open(_needed(given, 2))
        state.mix_key(_agreed(self._ephemeral.private, static))
        return static, state.open(_needed(given, 3))

    def finish(self, payload: bytes) -> tuple[bytes, Transport]:
        """The third message, and the way to go on."""
        static = self._state.seal(self._static.public)
        self._state.mix_key(_agreed(self._static.private, self._theirs))
        said = protobuf.message((1, static), (2, self._state.seal(payload)))
        sending, receiving = self._state.split()
        return protobuf.message((4, said)), Transport(sending, receiving)


def _nonce(count: int) -> bytes:
    return bytes(4) + count.to_bytes(8, "big")


def _inner(message: bytes, number: int) -> protobuf.Fields:
    try:
        return protobuf.fields(protobuf.part(protobuf.fields(message), number) or b"")
    except protobuf.Malformed as wrong:
        raise HandshakeFailed(str(wrong)) from wrong


def _needed(given: protobuf.Fields, number: int) -> bytes:
    value = protobuf.part(given, number)
    if value is None:
        raise HandshakeFailed(f"field {number} is missing")
    return value


def _agreed(private: bytes, public: bytes) -> bytes:
    try:
        return agreed(private, public)
    except ValueError as wrong:
        raise HandshakeFailed(str(wrong)) from wrong

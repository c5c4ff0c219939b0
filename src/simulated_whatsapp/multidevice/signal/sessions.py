"""Sessions: how two devices come to a ratchet (X3DH, both ways), and which of several opens a message.

A first message is 0x33 and protobuf {1 prekey id, 2 base key, 3 identity, 4 message, 5 registration, 6 signed prekey
id}; its sender repeats that envelope until the first answer came.
"""

from dataclasses import dataclass

from simulated_whatsapp.multidevice.signal.bundles import Bundle
from simulated_whatsapp.multidevice.signal.ratchet import VERSION, AlreadyDecrypted, Ratchet, Undecryptable
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, agreed, new_pair, typed, untyped
from simulated_whatsapp.multidevice.wire.secrets import derived

MAX_SESSIONS = 40
"""Of one device: older ones still open what was late."""


@dataclass(slots=True)
class Session:
    """One ratchet, and what names it: the base key of the message that began it. ``envelope`` goes around what is said
    until they have answered."""

    ratchet: Ratchet
    base_key: bytes
    envelope: tuple[tuple[int, int | bytes | None], ...] | None = None

    def encrypt(self, plain: bytes) -> tuple[str, bytes]:
        """The kind (``pkmsg`` with the envelope, else ``msg``) and the bytes."""
        said = self.ratchet.encrypt(plain)
        if self.envelope is None:
            return "msg", said
        return "pkmsg", VERSION + protobuf.message(*self.envelope, (4, said))

    def decrypt(self, data: bytes) -> bytes:
        plain = self.ratchet.decrypt(data)
        self.envelope = None
        return plain


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """The envelope of a first message, read."""

    prekey: int | None
    base_key: bytes
    identity: bytes
    message: bytes
    registration: int
    signed_prekey: int


def read_first(data: bytes) -> FirstMessage:
    """Raises ``Undecryptable``."""
    if not data.startswith(VERSION):
        raise Undecryptable("a first message of another version")
    try:
        given = protobuf.fields(data[1:])
        base, identity = (untyped(protobuf.part(given, number) or b"") for number in (2, 3))
    except ValueError as wrong:
        raise Undecryptable(str(wrong)) from wrong
    return FirstMessage(
        prekey=protobuf.number(given, 1) if 1 in given else None,
        base_key=base,
        identity=identity,
        message=protobuf.part(given, 4) or b"",
        registration=protobuf.number(given, 5),
        signed_prekey=protobuf.number(given, 6),
    )


def outgoing(identity: KeyPair, registration: int, theirs: Bundle) -> Session:
    """A session begun by us. Raises ``Undecryptable`` for a bundle that its identity did not sign."""
    if not theirs.signed.is_by(theirs.identity):
        raise Undecryptable("the signed prekey is not signed by its identity")
    base = new_pair()
    secrets = [
        agreed(identity.private, theirs.signed.public),
        agreed(base.private, theirs.identity),
        agreed(base.private, theirs.signed.public),
    ]
    if theirs.prekey is not None:
        secrets.append(agreed(base.private, theirs.prekey.public))
    root, chain = _started(secrets)
    ratchet = Ratchet(typed(identity.public), typed(theirs.identity), root, new_pair())
    del chain  # theirs to send on, with their signed prekey as its name; nobody does before an answer
    ratchet.start_sending(theirs.signed.public)
    envelope = (
        (1, None if theirs.prekey is None else theirs.prekey.id),
        (2, typed(base.public)),
        (3, typed(identity.public)),
        (5, registration),
        (6, theirs.signed.id),
    )
    return Session(ratchet, base.public, envelope)


def incoming(identity: KeyPair, signed: KeyPair, prekey: KeyPair | None, first: FirstMessage) -> Session:
    """A session begun by them. Raises ``Undecryptable``."""
    try:
        secrets = [
            agreed(signed.private, first.identity),
            agreed(identity.private, first.base_key),
            agreed(signed.private, first.base_key),
        ]
        if prekey is not None:
            secrets.append(agreed(prekey.private, first.base_key))
    except ValueError as wrong:
        raise Undecryptable(str(wrong)) from wrong
    root, _ = _started(secrets)
    return Session(Ratchet(typed(identity.public), typed(first.identity), root, signed), first.base_key)


class Sessions:
    """All sessions with one device, the newest first."""

    def __init__(self) -> None:
        self._all: list[Session] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, session: Session) -> None:
        self._all.insert(0, session)
        del self._all[MAX_SESSIONS:]

    def begun_with(self, base_key: bytes) -> Session | None:
        return next((each for each in self._all if each.base_key == base_key), None)

    def encrypt(self, plain: bytes) -> tuple[str, bytes]:
        """With the newest. Raises ``Undecryptable`` where there is none."""
        if not self._all:
            raise Undecryptable("no session")
        return self._all[0].encrypt(plain)

    def decrypt(self, data: bytes) -> bytes:
        """With whichever opens it, which is the newest from now on. Raises ``Undecryptable``, ``AlreadyDecrypted``."""
        problem = Undecryptable("no session")
        for session in self._all:
            try:
                plain = session.decrypt(data)
            except AlreadyDecrypted:
                raise
            except Undecryptable as wrong:
                problem = wrong
                continue
            self._all.remove(session)
            self._all.insert(0, session)
            return plain
        raise problem


def _started(secrets: list[bytes]) -> tuple[bytes, bytes]:
    material = derived(b"\xff" * 32 + b"".join(secrets), 64, info=b"WhisperText")
    return material[:32], material[32:]

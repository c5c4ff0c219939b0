"""A device's keys and sessions: writes to other devices and reads what they write."""

import secrets

from simulated_whatsapp.multidevice.signal.bundles import Bundle, Prekey, SignedPrekey, signed_prekey
from simulated_whatsapp.multidevice.signal.ratchet import Undecryptable
from simulated_whatsapp.multidevice.signal.sessions import Sessions, incoming, outgoing, read_first
from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair

MAX_PREKEY = 0xFFFFFF


class Identity:
    """One device's end-to-end keys. Other devices go by a name of the caller's choice."""

    def __init__(self) -> None:
        self.pair = new_pair()
        self.registration = secrets.randbelow(16380) + 1
        self.signed: dict[int, SignedPrekey] = {}
        self._signed_pairs: dict[int, KeyPair] = {}
        self._prekeys: dict[int, KeyPair] = {}
        self._next_prekey = 1
        self._sessions: dict[str, Sessions] = {}
        self.rotate()

    @property
    def current(self) -> SignedPrekey:
        """The signed prekey of the newest rotation."""
        return self.signed[max(self.signed)]

    def signed_pair(self, number: int) -> KeyPair:
        """A signed prekey with its private half."""
        return self._signed_pairs[number]

    def rotate(self) -> SignedPrekey:
        """A new signed prekey; the former ones go on opening what was written to them."""
        number = max(self.signed, default=0) + 1
        self.signed[number], self._signed_pairs[number] = signed_prekey(self.pair, number)
        return self.signed[number]

    def new_prekeys(self, count: int) -> list[Prekey]:
        made = []
        for _ in range(count):
            pair, number = new_pair(), self._next_prekey
            self._next_prekey = number % MAX_PREKEY + 1
            self._prekeys[number] = pair
            made.append(Prekey(number, pair.public))
        return made

    def bundle(self, *, with_prekey: bool = True) -> Bundle:
        """What another device needs to write here first: a fresh one-time prekey each time."""
        prekey = self.new_prekeys(1)[0] if with_prekey else None
        return Bundle(self.registration, self.pair.public, self.current, prekey)

    def knows(self, peer: str) -> bool:
        """Whether there is a session with this device."""
        return bool(self._sessions.get(peer))

    def open(self, peer: str, bundle: Bundle) -> None:
        """Begin a session, which is the one for writing from now on. Raises ``Undecryptable`` for a forged bundle."""
        self._sessions.setdefault(peer, Sessions()).add(outgoing(self.pair, self.registration, bundle))

    def encrypt(self, peer: str, plain: bytes) -> tuple[str, bytes]:
        """``pkmsg`` or ``msg``, and the bytes. Raises ``Undecryptable`` where there is no session."""
        return self._sessions.setdefault(peer, Sessions()).encrypt(plain)

    def decrypt(self, peer: str, kind: str, data: bytes) -> bytes:
        """The plain text. Raises ``Undecryptable``, or ``AlreadyDecrypted`` for bytes that were opened before."""
        if kind == "pkmsg":
            return self._first(peer, data)
        if kind != "msg":
            raise Undecryptable(f"a message of the kind {kind!r}")
        return self._sessions.setdefault(peer, Sessions()).decrypt(data)

    def forget(self, peer: str | None = None) -> None:
        """Lose the sessions with a device, or with all."""
        if peer is None:
            self._sessions.clear()
        else:
            self._sessions.pop(peer, None)

    def _first(self, peer: str, data: bytes) -> bytes:
        first = read_first(data)
        sessions = self._sessions.setdefault(peer, Sessions())
        known = sessions.begun_with(first.base_key)
        if known is not None:
            return known.decrypt(first.message)
        signed = self._signed_pairs.get(first.signed_prekey)
        prekey = self._prekeys.get(first.prekey) if first.prekey is not None else None
        if signed is None or (first.prekey is not None and prekey is None):
            raise Undecryptable("the prekey is not known or was used")
        session = incoming(self.pair, signed, prekey, first)
        plain = session.decrypt(first.message)
        sessions.add(session)
        if first.prekey is not None:
            del self._prekeys[first.prekey]
        return plain

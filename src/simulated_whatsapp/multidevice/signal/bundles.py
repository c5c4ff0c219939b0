"""What a device publishes so that others can write to it: its identity, a signed prekey, many one-time prekeys."""

from dataclasses import dataclass

from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair, sign, typed, verified


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A prekey's public half, signed by the identity. Ids have three bytes."""

    id: int
    public: bytes
    signature: bytes

    def is_by(self, identity: bytes) -> bool:
        return verified(identity, typed(self.public), self.signature)


@dataclass(frozen=True, slots=True)
class Prekey:
    """A one-time prekey's public half."""

    id: int
    public: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that is needed to write to a device for the first time; ``prekey`` is missing where they ran out."""

    registration: int
    identity: bytes
    signed: SignedPrekey
    prekey: Prekey | None


def signed_prekey(identity: KeyPair, id: int) -> tuple[SignedPrekey, KeyPair]:
    """A fresh one, and its pair."""
    pair = new_pair()
    return SignedPrekey(id, pair.public, sign(identity.private, typed(pair.public))), pair

"""Linking by a code that is typed into the phone: what the phone works out (the other side as Baileys 7.0.0-rc14).

A key made of the code wraps each side's ephemeral key (salt 32, counter block 16, key 32); from both come a key for the
bundle of identities (salt 32, nonce 12, sealed) and the secret that the phone's signature of the device is sealed with.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from simulated_whatsapp.multidevice.phones.linking import BadCode
from simulated_whatsapp.multidevice.wire.curve import KEY_BYTES, KeyPair, agreed, new_pair
from simulated_whatsapp.multidevice.wire.secrets import ctr, derived, gcm_opened

ROUNDS = 131_072
_SALT, _BLOCK, _NONCE = 32, 16, 12
_BUNDLE_INFO = b"link_code_pairing_key_bundle_encryption_key"


class TypedCode:
    """A code in a phone's hand. ``wrapped`` is what the phone answers with."""

    def __init__(self, account: KeyPair, code: str, theirs: bytes) -> None:
        self._account = account
        self._pair = new_pair()
        typed = code.replace("-", "").replace(" ", "").upper()
        self._ephemeral = unwrapped(typed, theirs)
        self.wrapped = wrapped(typed, self._pair.public)

    def secret(self, bundle: bytes, identity: bytes) -> bytes:
        """The secret that both sides have now. Raises ``BadCode`` where the codes were not the same."""
        salt, nonce, sealed = bundle[:_SALT], bundle[_SALT : _SALT + _NONCE], bundle[_SALT + _NONCE :]
        try:
            shared = agreed(self._pair.private, self._ephemeral)
            plain = gcm_opened(derived(shared, 32, salt=salt, info=_BUNDLE_INFO), nonce, sealed)
            between = agreed(self._account.private, identity)
        except (InvalidTag, ValueError) as wrong:
            raise BadCode("this is not the code that the client shows") from wrong
        theirs, ours, random = (plain[at : at + KEY_BYTES] for at in range(0, 3 * KEY_BYTES, KEY_BYTES))
        if (theirs, ours) != (identity, self._account.public):
            raise BadCode("the client speaks of other identities")
        return derived(shared + between + random, 32, info=b"adv_secret")


def wrapped(code: str, public: bytes) -> bytes:
    """A key under a code."""
    salt, start = os.urandom(_SALT), os.urandom(_BLOCK)
    return salt + start + ctr(_stretched(code, salt), start, public)


def unwrapped(code: str, given: bytes) -> bytes:
    """The key, or another one if the code is wrong: nothing tells them apart here. Raises ``BadCode``."""
    if len(given) != _SALT + _BLOCK + KEY_BYTES:
        raise BadCode("a wrapped key has 80 bytes")
    return ctr(_stretched(code, given[:_SALT]), given[_SALT : _SALT + _BLOCK], given[_SALT + _BLOCK :])


def _stretched(code: str, salt: bytes) -> bytes:
    return PBKDF2HMAC(hashes.SHA256(), 32, salt, ROUNDS).derive(code.encode())

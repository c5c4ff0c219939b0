"""Secrets of others as they are kept: gateways' keys, exit proxies; sealed with ours, each for one owner alone.

They open only under the secret that they were sealed with, or under it as an old one. No backup of the database holds
a key of anybody's gateway.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class KeySeal:
    """Seals under the first of the secrets, and opens what any of them sealed."""

    def __init__(
        self,
        secrets_: Sequence[bytes],
        *,
        purpose: bytes = b"homing: gateways' keys",
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._ciphers = [AESGCM(hmac.digest(each, purpose, hashlib.sha256)) for each in secrets_]
        self._token = token

    @property
    def can_seal(self) -> bool:
        """Whether there is a secret to seal with."""
        return bool(self._ciphers)

    def seal(self, whose: str, key: str) -> str:
        """The key, fit to be stored. There must be a secret."""
        nonce = self._token(_NONCE_BYTES)
        text = self._ciphers[0].encrypt(nonce, key.encode(), whose.encode())
        return base64.b64encode(nonce + text).decode("ascii")

    def opened(self, whose: str, sealed: str) -> str | None:
        """The key that was sealed for this one; None if none of the secrets opens it."""
        try:
            raw = base64.b64decode(sealed, validate=True)
        except binascii.Error:
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], whose.encode()).decode()
            except (InvalidTag, ValueError):
                continue
        return None

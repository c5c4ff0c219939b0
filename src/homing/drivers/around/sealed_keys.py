"""The keys that gateways want, as they are kept: sealed with our secret, each for its instance alone.

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

from homing.model.fleet import InstanceUrl

_NONCE_BYTES = 12


class KeySeal:
    """Seals under the first of the secrets, and opens what any of them sealed."""

    def __init__(self, secrets_: Sequence[bytes], *, token: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._ciphers = [AESGCM(hmac.digest(each, b"homing: gateways' keys", hashlib.sha256)) for each in secrets_]
        self._token = token

    @property
    def can_seal(self) -> bool:
        """Whether there is a secret to seal with."""
        return bool(self._ciphers)

    def seal(self, url: InstanceUrl, key: str) -> str:
        """The key, fit to be stored. There must be a secret."""
        nonce = self._token(_NONCE_BYTES)
        text = self._ciphers[0].encrypt(nonce, key.encode(), url.encode())
        return base64.b64encode(nonce + text).decode("ascii")

    def opened(self, url: InstanceUrl, sealed: str) -> str | None:
        """The key that was sealed for this instance; None if none of the secrets opens it."""
        try:
            raw = base64.b64decode(sealed, validate=True)
        except binascii.Error:
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], url.encode()).decode()
            except (InvalidTag, ValueError):
                continue
        return None

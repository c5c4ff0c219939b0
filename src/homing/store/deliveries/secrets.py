"""Secrets of customers and operators at rest: sealed with a key that is derived from HOMING_SECRET.

They have to be readable, since deliveries are signed with them; a dump of the database alone opens none. What was
sealed before HOMING_SECRET changed opens with HOMING_OLD_SECRETS.
"""

import hmac
from collections.abc import Callable, Iterable

from homing.model.deliveries.endpoints import SealedSecret
from homing.model.instances.vault import VaultSealed
from homing.ports.deliveries.deliveries import SecretSealed
from homing.store.vault.sealing import KeyRing, SealedPlace, SealedText, VaultKey


class DerivedSecrets:
    """A `SecretBox` with keys of the gateways' own secret, which is the same in all of them."""

    def __init__(self, secret: bytes, old: Iterable[bytes], token: Callable[[int], bytes]) -> None:
        """Without a secret nothing can be sealed, and `SecretSealed` says what to set."""
        self._ring = KeyRing(_key(secret), map(_key, old), token=token) if secret else None

    def seal(self, place: str, secret: bytes) -> SealedSecret:
        """Raises SecretSealed without a key."""
        sealed = self._at_hand().seal(SealedPlace("secret", place, ""), secret)
        return SealedSecret(sealed.key_id, sealed.text)

    def unseal(self, place: str, sealed: SealedSecret) -> bytes:
        """Raises SecretSealed."""
        try:
            return self._at_hand().unseal(SealedPlace("secret", place, ""), SealedText(sealed.key_id, sealed.text))
        except VaultSealed as error:
            raise SecretSealed(
                f"the secret of {place} was sealed under another HOMING_SECRET; add that one to HOMING_OLD_SECRETS"
            ) from error

    def _at_hand(self) -> KeyRing:
        if self._ring is None:
            raise SecretSealed("secrets cannot be kept without a key; set HOMING_SECRET, the same in all gateways")
        return self._ring


def _key(secret: bytes) -> VaultKey:
    own = hmac.digest(secret, b"homing endpoint secrets", "sha256")
    return VaultKey(hmac.digest(own, b"name", "sha256").hex()[:8], own)

"""The keys that open the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypedDict

from homing.model.directory.access import Key, RateLimit


class KeyChanges(TypedDict, total=False):
    """What may be changed of a key. What is absent stays; None takes an end or a limit away."""

    name: str
    expires_at: datetime | None
    rate_limit: RateLimit | None


class Keys(Protocol):
    """API keys. Raises StoreUnavailable from every method. Every gateway hears of changes (KeysChanged)."""

    async def keys(self) -> list[Key]:
        """All keys that are not revoked; those that have expired too."""
        ...

    async def add_key(self, key: Key) -> None:
        """The key's workspace comes to exist if it did not."""
        ...

    async def change_key(self, key_id: str, changes: KeyChanges) -> Key | None:
        """The key as it stands changed; None if there is none, or it is revoked."""
        ...

    async def rotate_key(self, key_id: str, secret_hash: str, previous_until: datetime) -> Key | None:
        """The key under a new secret, at once; the one that it had opens until then. None if there is none in force."""
        ...

    async def revoke_key(self, key_id: str, at: datetime) -> Key | None: ...

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        """When these keys were last used. It is told to nobody."""
        ...

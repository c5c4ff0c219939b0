"""Links by which a phone's owner pairs it, without a key."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A link that is in force. `opened`: somebody has begun to use it."""

    account_id: int
    left_s: float
    opened: bool


class PairingLinkStore(Protocol):
    """Links by the hash of their secret. Raises StoreUnavailable. Times are by the store's clock."""

    async def add(self, secret_hash: str, account_id: int, *, for_s: float) -> None:
        """A new link; those that the account had end."""
        ...

    async def find(self, secret_hash: str) -> KnownLink | None:
        """None for one that has ended, that has expired, and that never was."""
        ...

    async def open(self, secret_hash: str) -> bool:
        """Whether it was in force and nobody had opened it; from now on somebody has."""
        ...

    async def end(self, secret_hash: str) -> None: ...

"""What signing in to the page needs of the store."""

from enum import StrEnum
from typing import Protocol


class LoginKind(StrEnum):
    """What a secret is good for."""

    COOKIE = "cookie"
    """Every request of one browser, until it is over."""
    CODE = "code"
    """Signing in once."""


class LoginStore(Protocol):
    """Secrets that stand for an API key for a while, known by their hashes alone, by the store's clock.

    They hold on every gateway of the directory. Raises StoreUnavailable from every method.
    """

    async def add(self, secret_hash: str, kind: LoginKind, key_id: str, *, for_s: float) -> None:
        """From now on the secret stands for the key. Those whose time is over are forgotten."""
        ...

    async def find(self, secret_hash: str, kind: LoginKind) -> tuple[str, float] | None:
        """The id of the key that it stands for, and for how many seconds still."""
        ...

    async def take(self, secret_hash: str, kind: LoginKind) -> str | None:
        """The id of the key that it stands for, which it does no more. Of several who take it, one gets it."""
        ...

"""What the store knows of conditions that alerts are about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StandingFacts:
    """As of `now`, the store's time. `unknown` counts messages whose outcome has been unknown for long."""

    now: datetime
    added_short: int
    added_long: int
    unknown: int
    oldest_unknown_at: datetime | None


class FactStore(Protocol):
    """Raises StoreUnavailable from every method."""

    async def facts(self, *, short: timedelta, long: timedelta, unknown_after: timedelta) -> StandingFacts:
        """Accounts that were added within `short` and `long`, and what has been unknown for `unknown_after`."""
        ...

    async def now(self) -> datetime:
        """The store's time."""
        ...


class VaultKeys(Protocol):
    """Whether the keys of the settings open what is in the vault."""

    async def lacking(self) -> str | None:
        """Which key is not at hand, in one sentence; None if none is missing. Raises StoreUnavailable."""
        ...

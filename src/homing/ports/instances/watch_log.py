"""What was seen of observed instances, and what would have been done there, for as long as anybody may ask."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from homing.model.fleet import InstanceUrl
from homing.model.instances.observing import Agreement, Watched, WouldHave, WouldKind


class WatchLog(Protocol):
    """Raises StoreUnavailable from every method."""

    async def note(self, would_haves: Collection[WouldHave], watched: Collection[Watched]) -> None:
        """Write these down. What is written down already of the same kind, instance and session takes the new reason
        and time, and counts once more."""
        ...

    async def would_haves(
        self, instance: InstanceUrl | None = None, *, since: datetime, limit: int
    ) -> Sequence[WouldHave]:
        """What was called for since then, the newest first."""
        ...

    async def counts(self, *, since: datetime) -> Mapping[InstanceUrl, Mapping[WouldKind, int]]:
        """How many sessions each kind concerned since then, by instance."""
        ...

    async def agreements(self, *, since: datetime) -> Mapping[InstanceUrl, Agreement]:
        """How lists and record agreed since then, by instance."""
        ...

    async def prune(self, *, before: datetime, limit: int) -> int:
        """Forget at most so many entries of each kind from before then; returns how many."""
        ...

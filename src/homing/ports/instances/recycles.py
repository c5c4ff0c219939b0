"""Which instances are to be started anew, as it is kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from homing.model.fleet import InstanceUrl
from homing.model.instances.recycling import Recycle


class Recycles(Protocol):
    """What is kept of recycling. Raises StoreUnavailable from every method."""

    async def ask(self, url: InstanceUrl, reason: str, *, with_gap: bool, at: datetime) -> Recycle:
        """Enter the wish; the one that is open for the instance already, if there is one."""
        ...

    async def open(self) -> Sequence[Recycle]:
        """Those that are not over, the earliest asked first."""
        ...

    async def keep(self, before: Recycle, after: Recycle) -> bool:
        """Change one, if it still stands as `before`; whether it did."""
        ...

    async def newest(self, *, limit: int) -> Sequence[Recycle]:
        """The newest first, those that are over too."""
        ...

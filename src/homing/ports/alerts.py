"""The alerts that stand, shared by all gateways of a directory."""

from collections.abc import Collection
from typing import Protocol

from homing.model.alerts import Alert, AlertKind, Subject


class Alerts(Protocol):
    """Which alerts stand. Raises StoreUnavailable from every method. A change is announced with AlertsChanged."""

    async def standing(self, *, limit: int) -> list[Alert]:
        """The alerts that stand, the oldest first."""
        ...

    async def change(self, raised: Collection[Alert], resolved: Collection[tuple[Subject, AlertKind]]) -> None:
        """Let these stand and those not, in one transaction.

        One that stands already keeps its `raised_at` and takes the new reason.
        """
        ...

    async def affirm(self, named: Collection[tuple[Subject, AlertKind]]) -> None:
        """These stand, still: by the store's clock, as of now."""
        ...

    async def expire(self, *, after_s: float) -> list[tuple[Subject, AlertKind]]:
        """Let those not stand that were affirmed once, and for so long not again; answers which."""
        ...

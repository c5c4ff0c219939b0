"""What the stories of customers' webhooks need of a store, and of whoever keeps secrets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homing.model.deliveries.deliveries import (
    Attempted,
    Delivery,
    DeliveryAttempt,
    DeliveryId,
    DeliveryState,
    DueDelivery,
)
from homing.model.deliveries.endpoints import (
    EndpointHealth,
    EndpointId,
    EndpointRecord,
    EndpointSecrets,
    EndpointSettings,
    EndpointState,
    SealedSecret,
)
from homing.model.fleet import WorkspaceId
from homing.ports.pages import Page


class SecretSealed(Exception):
    """A secret that does not open with the keys at hand. The message says what to set."""


class SecretBox(Protocol):
    """Seals secrets at rest, each for its own place: it opens nowhere else."""

    def seal(self, place: str, secret: bytes) -> SealedSecret: ...

    def unseal(self, place: str, sealed: SealedSecret) -> bytes:
        """Raises SecretSealed."""
        ...


@dataclass(frozen=True, slots=True)
class WantedDeliveries:
    """Which deliveries are asked for; None: whichever."""

    workspace: WorkspaceId | None = None
    endpoint: EndpointId | None = None
    state: DeliveryState | None = None
    type: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One step of a replay: how many events it went through, how many are told again, and behind which to go on."""

    looked_at: int
    told: int
    last: int


class Endpoints(Protocol):
    """Customers' endpoints. Raises StoreUnavailable from every method; changes are in the audit log."""

    async def create(
        self, id: EndpointId, workspace: WorkspaceId, settings: EndpointSettings, secret: SealedSecret
    ) -> EndpointRecord: ...

    async def change(
        self, id: EndpointId, settings: EndpointSettings, state: EndpointState, reason: str
    ) -> EndpointRecord | None: ...

    async def rotate(self, id: EndpointId, secret: SealedSecret, *, keep_s: float) -> datetime | None:
        """Sign with another secret, and for so long with the one before too; until when, or None without endpoint."""
        ...

    async def remove(self, id: EndpointId) -> bool: ...

    async def find(self, id: EndpointId) -> EndpointRecord | None: ...

    async def page(self, workspace: WorkspaceId | None, *, after: str, limit: int) -> list[EndpointRecord]:
        """By their ids, behind one."""
        ...

    async def secrets(self, id: EndpointId) -> EndpointSecrets | None:
        """Those that sign just now."""
        ...

    async def counts(self, ids: Collection[EndpointId]) -> Mapping[EndpointId, Mapping[DeliveryState, int]]:
        """How many deliveries wait for each, and how many are dead."""
        ...


class Deliveries(Protocol):
    """Events on their way to endpoints. Raises StoreUnavailable from every method."""

    async def due(self, endpoint: EndpointRecord, *, limit: int, busy: Collection[DeliveryId]) -> list[DueDelivery]:
        """Those to be made now, without those under way; of an ordered endpoint's lane the first."""
        ...

    async def next_due_s(self, endpoint: EndpointRecord) -> float | None:
        """In how many seconds the next one of the endpoint is due, at the least 0. None: nothing waits."""
        ...

    async def record(
        self,
        endpoint: EndpointId,
        attempted: Sequence[Attempted],
        health: EndpointHealth,
        *,
        recovered: bool,
        as_of: datetime,
    ) -> None:
        """How attempts ended, and how the endpoint is after them by the clock that shows `as_of` now, in one
        transaction. Once it has `recovered`, what waits for a later attempt is due."""
        ...

    async def disable(self, id: EndpointId, reason: str) -> int:
        """Tell the endpoint nothing more; how many deliveries died of it."""
        ...

    async def wake(self, quick: str, slow: str, *, slow_ms: int, failures: int) -> float | None:
        """See to it that each endpoint for which something is due has a job: of the kind `slow` those that failed so
        often in a row, or take so long on average. In how many seconds something is due next; None: nothing waits."""
        ...

    async def bound(self, *, most: int) -> list[EndpointId]:
        """Put nothing more behind the backlogs that are longer than that; for which endpoints that is new."""
        ...

    async def replay(self, ids: Collection[DeliveryId]) -> set[DeliveryId]: ...

    async def replay_events(
        self,
        endpoint: EndpointRecord,
        *,
        since: datetime,
        until: datetime,
        after: int,
        only: DeliveryState | None,
        limit: int,
    ) -> ReplayStep:
        """Tell the endpoint the events of a time again; `only` those whose delivery ended so. One step."""
        ...

    async def page(self, wanted: WantedDeliveries, *, page: Page) -> list[Delivery]:
        """Newest first; `page.after` is the id below which to go on, 0 for the newest."""
        ...

    async def find(self, id: DeliveryId) -> Delivery | None: ...

    async def attempts(self, id: DeliveryId) -> list[DeliveryAttempt]: ...

    async def prune(self, *, keep_s: float, limit: int) -> int:
        """Forget what ended longer ago than that, at most so many; how many went."""
        ...

"""`ports.deliveries` on SQLite and PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

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
from homing.model.notices import Notice
from homing.model.work import NewJob
from homing.ports import Page
from homing.ports.deliveries.deliveries import ReplayStep, WantedDeliveries
from homing.store.db.database import Database
from homing.store.db.rows import AnyRow
from homing.store.deliveries import deliveries, endpoints
from homing.store.notices.announce import Changes
from homing.store.notices.notices import StagedNotices
from homing.store.work.jobs import enqueue


class SqlEndpoints:
    """`ports.deliveries.Endpoints`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, id: EndpointId, workspace: WorkspaceId, settings: EndpointSettings, secret: SealedSecret
    ) -> EndpointRecord:
        return await self._database.write(
            lambda c: endpoints.create(c, id, workspace, settings, secret, now=self._database.now(c))
        )

    async def change(
        self, id: EndpointId, settings: EndpointSettings, state: EndpointState, reason: str
    ) -> EndpointRecord | None:
        return await self._database.write(
            lambda c: endpoints.change(c, id, settings, state, reason, now=self._database.now(c))
        )

    async def rotate(self, id: EndpointId, secret: SealedSecret, *, keep_s: float) -> datetime | None:
        def rotated(connection: Connection) -> datetime | None:
            now = self._database.now(connection)
            until = now + timedelta(seconds=keep_s)
            return until if endpoints.rotate(connection, id, secret, previous_until=until, now=now) else None

        return await self._database.write(rotated)

    async def remove(self, id: EndpointId) -> bool:
        return await self._database.write(lambda c: endpoints.remove(c, id))

    async def find(self, id: EndpointId) -> EndpointRecord | None:
        return await self._database.read(lambda c: endpoints.find(c, id))

    async def page(self, workspace: WorkspaceId | None, *, after: str, limit: int) -> list[EndpointRecord]:
        return await self._database.read(lambda c: endpoints.page(c, workspace, after, limit))

    async def secrets(self, id: EndpointId) -> EndpointSecrets | None:
        return await self._database.read(lambda c: endpoints.secrets(c, id, now=self._database.now(c)))

    async def counts(self, ids: Collection[EndpointId]) -> Mapping[EndpointId, Mapping[DeliveryState, int]]:
        return await self._database.read_aside(lambda c: deliveries.counts(c, ids))


def _key(id: EndpointId) -> str:
    """An endpoint is told by one gateway at a time, in whichever line it stands."""
    return f"endpoint {id}"


def _is_slow(row: AnyRow, slow_ms: int, failures: int) -> bool:
    return bool(row.failures >= failures or row.latency_ms >= slow_ms)


class SqlDeliveries:
    """`ports.deliveries.Deliveries`."""

    def __init__(self, database: Database, notices: StagedNotices) -> None:
        self._database, self._changes = database, Changes(database, notices)

    async def due(self, endpoint: EndpointRecord, *, limit: int, busy: Collection[DeliveryId]) -> list[DueDelivery]:
        def found(connection: Connection) -> list[DueDelivery]:
            now = self._database.now(connection)
            return deliveries.due(connection, endpoint, now=now, limit=limit, busy=busy)

        return await self._database.read(found)

    async def next_due_s(self, endpoint: EndpointRecord) -> float | None:
        def due_in(connection: Connection) -> float | None:
            due = deliveries.next_due(connection, endpoint.id, ordered=endpoint.settings.ordered)
            return None if due is None else max((due - self._database.now(connection)).total_seconds(), 0.0)

        return await self._database.read(due_in)

    async def record(
        self,
        endpoint: EndpointId,
        attempted: Sequence[Attempted],
        health: EndpointHealth,
        *,
        recovered: bool,
        as_of: datetime,
    ) -> None:
        def written(connection: Connection) -> None:
            now = self._database.now(connection)
            deliveries.record_attempts(connection, attempted, now=now)
            let_be = health.retry_at and health.retry_at + (now - as_of)
            told = replace(health, retry_at=let_be)
            deliveries.record_health(connection, endpoint, told, recovered=recovered, now=now)

        await self._database.write(written)

    async def disable(self, id: EndpointId, reason: str) -> int:
        return await self._database.write(
            lambda c: deliveries.disable(c, id, reason, now=self._database.now(c)),
        )

    async def wake(self, quick: str, slow: str, *, slow_ms: int, failures: int) -> float | None:
        def looked(connection: Connection) -> tuple[list[AnyRow], float | None]:
            now = self._database.now(connection)
            later = deliveries.next_of_all(connection, now=now)
            asleep = deliveries.without_a_job(connection, (quick, slow), now=now)
            return asleep, None if later is None else (later - now).total_seconds()

        asleep, next_s = await self._database.read(looked)
        if not asleep:
            return next_s
        new = [
            NewJob(slow if _is_slow(row, slow_ms, failures) else quick, {"endpoint": row.id}, _key(row.id), row.id)
            for row in asleep
        ]

        def woken(connection: Connection) -> tuple[None, list[Notice]]:
            now = self._database.now(connection)
            deliveries.pull_forward(connection, (quick, slow), [row.id for row in asleep], now=now)
            enqueued = enqueue(connection, self._database, new)
            return None, enqueued.notices

        await self._changes.make(woken)
        return next_s

    async def bound(self, *, most: int) -> list[EndpointId]:
        return await self._database.write(lambda c: deliveries.bound_backlogs(c, most=most))

    async def replay(self, ids: Collection[DeliveryId]) -> set[DeliveryId]:
        return await self._database.write(lambda c: deliveries.replay(c, ids, now=self._database.now(c)))

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
        def step(connection: Connection) -> ReplayStep:
            now = self._database.now(connection)
            return deliveries.replay_events(
                connection, endpoint, since=since, until=until, after=after, only=only, limit=limit, now=now
            )

        return await self._database.write(step)

    async def page(self, wanted: WantedDeliveries, *, page: Page) -> list[Delivery]:
        return await self._database.read(lambda c: deliveries.page(c, wanted, below=page.after, limit=page.limit))

    async def find(self, id: DeliveryId) -> Delivery | None:
        return await self._database.read(lambda c: deliveries.find(c, id))

    async def attempts(self, id: DeliveryId) -> list[DeliveryAttempt]:
        return await self._database.read(lambda c: deliveries.attempts(c, id))

    async def prune(self, *, keep_s: float, limit: int) -> int:
        def pruned(connection: Connection) -> int:
            before = self._database.now(connection) - timedelta(seconds=keep_s)
            return deliveries.prune(connection, finished_before=before, limit=limit)

        return await self._database.write(pruned)

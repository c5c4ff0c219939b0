"""Customers' endpoints on a SQL database: what is set of them, their secrets, and how telling them goes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from homing.decide.egress.reading import customer_url
from homing.model.deliveries.endpoints import (
    EndpointHealth,
    EndpointId,
    EndpointRecord,
    EndpointSecrets,
    EndpointSettings,
    EndpointState,
    RetrySchedule,
    SealedSecret,
)
from homing.model.fleet import WorkspaceId
from homing.store.db.rows import AnyRow
from homing.store.db.schema.deliveries import deliveries, delivery_attempts, endpoints
from homing.store.deliveries.telling import filter_of
from homing.store.directory.accounts import ensure_workspace
from homing.store.records.recording import record, record_difference


def create(
    connection: Connection,
    id: EndpointId,
    workspace: WorkspaceId,
    made: EndpointSettings,
    secret: SealedSecret,
    *,
    now: datetime,
) -> EndpointRecord:
    """Add an endpoint."""
    ensure_workspace(connection, workspace, now)
    row = {
        "id": id,
        "workspace_id": workspace,
        **_settings_row(made),
        "state": EndpointState.ENABLED,
        "state_reason": "",
        "secret": secret.text,
        "secret_key": secret.key_id,
        "failures": 0,
        "latency_ms": 0,
        "backlog_full": False,
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(endpoints.insert().values(row))
    record(connection, "endpoint.created", f"endpoint {id}", after=_shown(made, EndpointState.ENABLED))
    created = find(connection, id)
    assert created is not None
    return created


def change(
    connection: Connection,
    id: EndpointId,
    made: EndpointSettings,
    state: EndpointState,
    reason: str,
    *,
    now: datetime,
) -> EndpointRecord | None:
    """What is set of it from now on; None if there is none. Enabled anew it begins with a clean slate."""
    before = find(connection, id)
    if before is None:
        return None
    values = {**_settings_row(made), "state": state, "state_reason": reason, "updated_at": now}
    if state is EndpointState.ENABLED and before.state is not state:
        values |= {"failures": 0, "failing_since": None, "retry_at": None, "backlog_full": False}
    connection.execute(update(endpoints).where(endpoints.c.id == id).values(values))
    was, is_now = _shown(before.settings, before.state), _shown(made, state)
    record_difference(connection, "endpoint.changed", f"endpoint {id}", was, is_now)
    return find(connection, id)


def rotate(
    connection: Connection, id: EndpointId, secret: SealedSecret, *, previous_until: datetime, now: datetime
) -> bool:
    """Another secret signs from now on, and the one before it too until then."""
    row = connection.execute(
        select(endpoints.c.secret, endpoints.c.secret_key).where(endpoints.c.id == id)
    ).one_or_none()
    if row is None:
        return False
    values = {
        "secret": secret.text,
        "secret_key": secret.key_id,
        "previous_secret": row.secret,
        "previous_secret_key": row.secret_key,
        "previous_secret_until": previous_until,
        "updated_at": now,
    }
    connection.execute(update(endpoints).where(endpoints.c.id == id).values(values))
    record(connection, "endpoint.secret_rotated", f"endpoint {id}", after={"previous_until": str(previous_until)})
    return True


def remove(connection: Connection, id: EndpointId) -> bool:
    """Forget it with all of its deliveries."""
    gone = connection.execute(delete(endpoints).where(endpoints.c.id == id)).rowcount > 0
    if gone:
        of_it = select(deliveries.c.id).where(deliveries.c.endpoint_id == id)
        connection.execute(delete(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(of_it)))
        connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == id))
        record(connection, "endpoint.deleted", f"endpoint {id}")
    return gone


def find(connection: Connection, id: EndpointId) -> EndpointRecord | None:
    row = connection.execute(select(endpoints).where(endpoints.c.id == id)).one_or_none()
    return None if row is None else endpoint_of(row)


def page(connection: Connection, workspace: WorkspaceId | None, after: str, limit: int) -> list[EndpointRecord]:
    """By their ids, behind one."""
    statement = select(endpoints).where(endpoints.c.id > after).order_by(endpoints.c.id).limit(limit)
    if workspace is not None:
        statement = statement.where(endpoints.c.workspace_id == workspace)
    return [endpoint_of(row) for row in connection.execute(statement)]


def secrets(connection: Connection, id: EndpointId, *, now: datetime) -> EndpointSecrets | None:
    """The secrets that sign; the previous one is left out once its time is over."""
    row = connection.execute(select(endpoints).where(endpoints.c.id == id)).one_or_none()
    if row is None:
        return None
    until = row.previous_secret_until
    is_valid = until is not None and until > now
    previous = SealedSecret(row.previous_secret_key, row.previous_secret) if is_valid else None
    return EndpointSecrets(SealedSecret(row.secret_key, row.secret), previous)


HEALTH_COLUMNS = (
    endpoints.c.failures,
    endpoints.c.failing_since,
    endpoints.c.retry_at,
    endpoints.c.latency_ms,
    endpoints.c.last_success_at,
)
"""Those of `health_row`."""


def health_row(health: EndpointHealth) -> dict[str, Any]:
    return {
        "failures": health.failures,
        "failing_since": health.failing_since,
        "retry_at": health.retry_at,
        "latency_ms": health.latency_ms,
        "last_success_at": health.last_success_at,
    }


def endpoint_of(row: AnyRow) -> EndpointRecord:
    return EndpointRecord(
        id=EndpointId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        settings=EndpointSettings(
            url=row.url,
            name=row.name,
            events=filter_of(row.events),
            schedule=RetrySchedule(row.schedule),
            ordered=row.ordered,
            rate_per_s=row.rate_per_s,
            concurrency=row.concurrency,
        ),
        state=EndpointState(row.state),
        state_reason=row.state_reason,
        health=EndpointHealth(
            failures=row.failures,
            failing_since=row.failing_since,
            retry_at=row.retry_at,
            latency_ms=row.latency_ms,
            last_success_at=row.last_success_at,
        ),
        backlog_full=row.backlog_full,
        created_at=row.created_at,
        updated_at=row.updated_at,
        previous_secret_until=row.previous_secret_until,
    )


def _settings_row(made: EndpointSettings) -> dict[str, Any]:
    return {
        "url": made.url,
        "name": made.name,
        "events": ",".join(made.events),
        "schedule": made.schedule,
        "ordered": made.ordered,
        "rate_per_s": made.rate_per_s,
        "concurrency": made.concurrency,
    }


def _shown(made: EndpointSettings, state: EndpointState) -> Mapping[str, Any]:
    """As the audit log may keep it: an address of a customer's may have a token in it."""
    return {**_settings_row(made), "url": customer_url(made.url).authority, "state": state.value}

"""Deliveries on a SQL database: which are due, how attempts ended, what is replayed, what is forgotten."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Subquery,
    Update,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.types import TypeEngine

from homing.decide.deliveries.filters import wanted
from homing.model.deliveries.deliveries import (
    Attempted,
    Delivery,
    DeliveryAttempt,
    DeliveryId,
    DeliveryState,
    DueDelivery,
    ToldEvent,
)
from homing.model.deliveries.endpoints import EndpointHealth, EndpointId, EndpointRecord, EndpointState
from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, WorkspaceId
from homing.model.work import JobState
from homing.ports.deliveries.deliveries import ReplayStep, WantedDeliveries
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words
from homing.store.db.schema.deliveries import deliveries, delivery_attempts, endpoints
from homing.store.db.schema.tables import events, jobs
from homing.store.db.sql import among, as_rows, chunks, dialect_of, given_rows, insert, written_moment
from homing.store.deliveries.endpoints import HEALTH_COLUMNS, health_row

_PENDING = deliveries.c.state == literal_column("'pending'")
"""Written so, and not with a parameter, that both databases see the condition of the partial indexes in it."""
_OF_THE_EVENT = (
    events.c.kind,
    events.c.instance_url,
    events.c.received_at,
    events.c.payload,
    events.c.session_id,
    events.c.account_uuid,
    events.c.chat,
    events.c.session_sequence,
    events.c.chat_sequence,
)
_CHUNK = 500
_ENDPOINT, _NOW = bindparam("endpoint", type_=Words()), bindparam("now", type_=UtcDateTime())


# --- what is to be done -------------------------------------------------------------------------------------------


def due(
    connection: Connection,
    endpoint: EndpointRecord,
    *,
    now: datetime,
    limit: int,
    busy: Collection[DeliveryId] = (),
) -> list[DueDelivery]:
    """Deliveries to be made now, the longest due first, apart from those under way. Of an ordered endpoint the first
    of each lane, if that is due."""
    statement = _due_statement(ordered=endpoint.settings.ordered)
    asked: dict[str, Any] = {"endpoint": endpoint.id, "now": now, "limit": limit + len(busy)}
    found = [row for row in connection.execute(statement, asked) if row.id not in busy]
    return [_due_of(row) for row in found[:limit]]


def next_due(connection: Connection, id: EndpointId, *, ordered: bool) -> datetime | None:
    """When the next delivery of the endpoint is due; None: nothing waits. Of an `ordered` one's lane the first counts,
    whatever is due behind it."""
    found: datetime | None = connection.scalar(_next_statement(ordered=ordered), {"endpoint": id})
    return found


@prepared
def _due_statement(*, ordered: bool) -> Select[Any]:
    joined = deliveries.outerjoin(events, events.c.sequence == deliveries.c.event_sequence)
    if ordered:
        firsts = _firsts()
        joined = joined.join(firsts, firsts.c.first == deliveries.c.event_sequence)
    return (
        select(deliveries, *_OF_THE_EVENT)
        .select_from(joined)
        .where(deliveries.c.endpoint_id == _ENDPOINT, _PENDING, deliveries.c.due_at <= _NOW)
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("limit"))
    )


@prepared
def _next_statement(*, ordered: bool) -> Select[Any]:
    earliest = select(func.min(deliveries.c.due_at)).where(deliveries.c.endpoint_id == _ENDPOINT, _PENDING)
    if ordered:
        firsts = _firsts()
        earliest = earliest.join_from(deliveries, firsts, firsts.c.first == deliveries.c.event_sequence)
    return earliest


def _firsts() -> Subquery:
    """The first delivery of each lane, by the number of its event."""
    return (
        select(deliveries.c.lane, func.min(deliveries.c.event_sequence).label("first"))
        .where(deliveries.c.endpoint_id == _ENDPOINT, _PENDING)
        .group_by(deliveries.c.lane)
        .subquery("firsts")
    )


def next_of_all(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next delivery is due that is not due yet, to whichever endpoint."""
    found = [connection.scalar(statement, {"now": now}) for statement in (_first_of_all(), _first_let_be())]
    return min((each for each in found if each is not None), default=None)


@prepared
def _first_of_all() -> Select[Any]:
    of_it = select(func.min(deliveries.c.due_at)).where(
        deliveries.c.endpoint_id == endpoints.c.id, _PENDING, deliveries.c.due_at > _NOW
    )
    enabled = endpoints.c.state == EndpointState.ENABLED.value
    first = select(of_it.scalar_subquery().label("due_at")).where(enabled).subquery("first")
    return select(func.min(first.c.due_at))


@prepared
def _first_let_be() -> Select[Any]:
    enabled = endpoints.c.state == EndpointState.ENABLED.value
    return select(func.min(endpoints.c.retry_at)).where(enabled, endpoints.c.retry_at > _NOW)


@prepared
def _without_a_job(dialect: Dialect) -> Select[Any]:
    something_due = select(deliveries.c.id).where(
        deliveries.c.endpoint_id == endpoints.c.id, _PENDING, deliveries.c.due_at <= _NOW
    )
    taken_care_of = select(jobs.c.id).where(
        among(dialect, jobs.c.kind, "kinds"),
        jobs.c.dedup == endpoints.c.id,
        or_(jobs.c.state == JobState.RUNNING.value, (jobs.c.state == JobState.READY.value) & (jobs.c.due_at <= _NOW)),
    )
    let_be = or_(endpoints.c.retry_at.is_(None), endpoints.c.retry_at <= _NOW)
    statement = select(endpoints).where(
        endpoints.c.state == EndpointState.ENABLED.value, let_be, something_due.exists(), ~taken_care_of.exists()
    )
    return statement.order_by(endpoints.c.id)


def without_a_job(connection: Connection, kinds: Sequence[str], *, now: datetime) -> list[AnyRow]:
    """The enabled endpoints for which something is due, and that nobody is about to tell it: no job of theirs runs, or
    is ready by now."""
    asked = {"kinds": list(kinds), "now": now}
    found = connection.execute(_without_a_job(dialect_of(connection)), asked).all()
    return [row for row in found if not row.ordered or _first_is_due(connection, EndpointId(row.id), now)]


def _first_is_due(connection: Connection, id: EndpointId, now: datetime) -> bool:
    first = next_due(connection, id, ordered=True)
    return first is not None and first <= now


def pull_forward(connection: Connection, kinds: Sequence[str], ids: Collection[str], *, now: datetime) -> None:
    """Let the jobs of these endpoints that wait for a later time begin now."""
    waiting = (jobs.c.kind.in_(kinds), jobs.c.dedup.in_(sorted(ids)), jobs.c.state == literal_column("'ready'"))
    connection.execute(update(jobs).where(*waiting, jobs.c.due_at > now).values(due_at=now))


# --- how it went --------------------------------------------------------------------------------------------------

_ENDED: dict[str, TypeEngine[Any]] = {
    "id": BoundedInteger(),
    "expected": Integer(),
    "state": Words(),
    "due_at": UtcDateTime(),
    "round_attempts": Integer(),
    "status": Integer(),
    "reason": Words(),
    "finished_at": UtcDateTime(),
}


def record_attempts(connection: Connection, attempted: Sequence[Attempted], *, now: datetime) -> None:
    """Write down how attempts ended. One that somebody else wrote down meanwhile is left as that one says."""
    for part in chunks(attempted, _CHUNK):
        given = as_rows(_ended_row(each, now) for each in part)
        held = set(connection.scalars(_ended_statement(dialect_of(connection)), {"given": given}))
        logged = [_attempt_row(each) for each in part if each.delivery.id in held]
        if logged:
            connection.execute(insert(dialect_of(connection), delivery_attempts).on_conflict_do_nothing(), logged)


def record_health(
    connection: Connection, id: EndpointId, health: EndpointHealth, *, recovered: bool, now: datetime
) -> None:
    """How the endpoint is. Once it answers again, what waits for a later attempt need not wait any longer."""
    told = {f"its_{name}": value for name, value in health_row(health).items()}
    connection.execute(_health_statement(), told | {"endpoint": id})
    if recovered:
        later = (deliveries.c.endpoint_id == id, _PENDING, deliveries.c.due_at > now)
        connection.execute(update(deliveries).where(*later).values(due_at=now))


def disable(connection: Connection, id: EndpointId, reason: str, *, now: datetime) -> int:
    """Tell the endpoint nothing more. What waited for it is dead, and can be replayed; answers how much that was."""
    off = {"state": EndpointState.DISABLED, "state_reason": reason, "updated_at": now}
    enabled = (endpoints.c.id == id, endpoints.c.state == EndpointState.ENABLED.value)
    if not connection.execute(update(endpoints).where(*enabled).values(off)).rowcount:
        return 0
    waiting = update(deliveries).where(deliveries.c.endpoint_id == id, _PENDING)
    dead = {"state": DeliveryState.DEAD, "reason": f"the endpoint was disabled: {reason}", "finished_at": now}
    return connection.execute(waiting.values(dead)).rowcount


def bound_backlogs(connection: Connection, *, most: int) -> list[EndpointId]:
    """Note which endpoints have more waiting than may wait; answers those for which that is new."""
    waiting = (
        select(deliveries.c.endpoint_id, func.count().label("number"))
        .where(_PENDING)
        .group_by(deliveries.c.endpoint_id)
        .having(func.count() > most)
    )
    full = {row.endpoint_id for row in connection.execute(waiting)}
    noted = set(connection.scalars(select(endpoints.c.id).where(endpoints.c.backlog_full.is_(True))))
    for each in sorted(full ^ noted):
        connection.execute(update(endpoints).where(endpoints.c.id == each).values(backlog_full=each in full))
    return [EndpointId(each) for each in sorted(full - noted)]


# --- once more ----------------------------------------------------------------------------------------------------


def replay(connection: Connection, ids: Collection[DeliveryId], *, now: datetime) -> set[DeliveryId]:
    """Let these be made once more, under the same `webhook-id`; those that wait already are not in the answer."""
    again: set[DeliveryId] = set()
    for part in chunks(sorted(ids), _CHUNK):
        named = (deliveries.c.id.in_(part), deliveries.c.finished_at.is_not(None))
        statement = update(deliveries).where(*named).values(_anew(now)).returning(deliveries.c.id)
        again.update(map(DeliveryId, connection.scalars(statement)))
    return again


def replay_events(
    connection: Connection,
    endpoint: EndpointRecord,
    *,
    since: datetime,
    until: datetime,
    after: int,
    only: DeliveryState | None,
    limit: int,
    now: datetime,
) -> ReplayStep:
    """Tell the endpoint events of a time once more, or for the first time, as its filter is now; `only` those whose
    delivery ended so. One step, of at most `limit` events behind the number `after`."""
    wanted_events = (
        select(events.c.sequence, events.c.id, events.c.type, events.c.session_id, events.c.chat)
        .where(events.c.workspace_id == endpoint.workspace_id, events.c.sequence > after, events.c.type.is_not(None))
        .where(events.c.received_at >= since, events.c.received_at <= until)
        .order_by(events.c.sequence)
        .limit(limit)
    )
    found = connection.execute(wanted_events).all()
    if not found:
        return ReplayStep(0, 0, after)
    matching = [row for row in found if wanted(endpoint.settings.events, row.type)]
    told = _tell_again(connection, endpoint, matching, only, now)
    return ReplayStep(len(found), told, found[-1].sequence)


def _tell_again(
    connection: Connection, endpoint: EndpointRecord, rows: Sequence[AnyRow], only: DeliveryState | None, now: datetime
) -> int:
    told = 0
    for part in chunks(rows, _CHUNK):
        numbers = [row.sequence for row in part]
        of_it = (deliveries.c.endpoint_id == endpoint.id, deliveries.c.event_sequence.in_(numbers))
        ended = deliveries.c.state == only if only is not None else deliveries.c.finished_at.is_not(None)
        told += connection.execute(update(deliveries).where(*of_it, ended).values(_anew(now))).rowcount
        if only is None:
            new = [_first_time(endpoint, row, now) for row in part]
            statement = insert(dialect_of(connection), deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
            told += len(connection.execute(statement, new).all())
    return told


def _anew(now: datetime) -> dict[str, Any]:
    return {"state": DeliveryState.PENDING, "due_at": now, "round_attempts": 0, "reason": "", "finished_at": None}


def _first_time(endpoint: EndpointRecord, row: AnyRow, now: datetime) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.id,
        "workspace_id": endpoint.workspace_id,
        "event_sequence": row.sequence,
        "event_id": row.id,
        "type": row.type,
        "lane": f"{row.session_id or ''}|{row.chat or ''}",
        "state": DeliveryState.PENDING,
        "due_at": now,
        "attempts": 0,
        "round_attempts": 0,
        "reason": "",
        "created_at": now,
    }


# --- looking ------------------------------------------------------------------------------------------------------


def page(connection: Connection, asked: WantedDeliveries, *, below: int, limit: int) -> list[Delivery]:
    """Newest first; `below` is the id below which to go on, 0 for the newest."""
    statement = select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
    if below:
        statement = statement.where(deliveries.c.id < below)
    wanted_values = {
        deliveries.c.workspace_id: asked.workspace,
        deliveries.c.endpoint_id: asked.endpoint,
        deliveries.c.state: asked.state,
        deliveries.c.type: asked.type,
        deliveries.c.event_id: asked.event_id,
    }
    for column, value in wanted_values.items():
        if value is not None:
            statement = statement.where(column == value)
    return [delivery_of(row) for row in connection.execute(statement)]


def find(connection: Connection, id: DeliveryId) -> Delivery | None:
    row = connection.execute(select(deliveries).where(deliveries.c.id == id)).one_or_none()
    return None if row is None else delivery_of(row)


def attempts(connection: Connection, id: DeliveryId) -> list[DeliveryAttempt]:
    """Oldest first."""
    of_it = select(delivery_attempts).where(delivery_attempts.c.delivery_id == id)
    return [
        DeliveryAttempt(row.number, row.at, row.latency_ms, row.status, row.reason, row.body)
        for row in connection.execute(of_it.order_by(delivery_attempts.c.number))
    ]


def counts(connection: Connection, ids: Collection[EndpointId]) -> Mapping[EndpointId, Mapping[DeliveryState, int]]:
    """How many wait for each of these endpoints, and how many are dead."""
    unfinished = deliveries.c.state.in_([DeliveryState.PENDING.value, DeliveryState.DEAD.value])
    statement = (
        select(deliveries.c.endpoint_id, deliveries.c.state, func.count().label("number"))
        .where(deliveries.c.endpoint_id.in_(sorted(ids)), unfinished)
        .group_by(deliveries.c.endpoint_id, deliveries.c.state)
    )
    counted: dict[EndpointId, dict[DeliveryState, int]] = {each: {} for each in ids}
    for row in connection.execute(statement):
        counted[EndpointId(row.endpoint_id)][DeliveryState(row.state)] = row.number
    return counted


def prune(connection: Connection, *, finished_before: datetime, limit: int) -> int:
    """Forget deliveries that ended before then, with their attempts, at most so many; answers how many went."""
    old = select(deliveries.c.id).where(
        deliveries.c.finished_at.is_not(None), deliveries.c.finished_at < finished_before
    )
    ids = list(connection.scalars(old.order_by(deliveries.c.finished_at).limit(limit)))
    for part in chunks(ids, _CHUNK):
        connection.execute(delete(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(part)))
        connection.execute(delete(deliveries).where(deliveries.c.id.in_(part)))
    return len(ids)


# --- rows ---------------------------------------------------------------------------------------------------------


def delivery_of(row: AnyRow) -> Delivery:
    return Delivery(
        id=DeliveryId(row.id),
        endpoint_id=EndpointId(row.endpoint_id),
        workspace_id=WorkspaceId(row.workspace_id),
        sequence=row.event_sequence,
        event_id=row.event_id,
        type=row.type,
        lane=row.lane,
        state=DeliveryState(row.state),
        due_at=row.due_at,
        attempts=row.attempts,
        round_attempts=row.round_attempts,
        status=row.status,
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _due_of(row: Row[Any]) -> DueDelivery:
    delivery = delivery_of(row)
    if row.kind is None:
        return DueDelivery(delivery, None)
    told = ToldEvent(
        id=delivery.event_id,
        sequence=delivery.sequence,
        type=delivery.type,
        kind=row.kind,
        at=row.received_at,
        payload=row.payload,
        workspace_id=delivery.workspace_id,
        session_id=None if row.session_id is None else SessionId(row.session_id),
        account_uuid=None if row.account_uuid is None else AccountUuid(row.account_uuid),
        chat=row.chat or "",
        session_sequence=row.session_sequence,
        chat_sequence=row.chat_sequence,
        instance_url=None if row.instance_url is None else InstanceUrl(row.instance_url),
    )
    return DueDelivery(delivery, told)


def _ended_row(each: Attempted, now: datetime) -> dict[str, str | int | None]:
    is_over = each.state is not DeliveryState.PENDING
    return {
        "id": each.delivery.id,
        "expected": each.delivery.attempts,
        "state": each.state,
        "due_at": written_moment(now + timedelta(seconds=each.after_s)),
        "round_attempts": each.delivery.round_attempts + 1,
        "status": each.attempt.status,
        "reason": each.attempt.reason,
        "finished_at": written_moment(now) if is_over else None,
    }


def _attempt_row(each: Attempted) -> dict[str, Any]:
    attempt = each.attempt
    return {
        "delivery_id": each.delivery.id,
        "number": attempt.number,
        "at": attempt.at,
        "latency_ms": attempt.latency_ms,
        "status": attempt.status,
        "reason": attempt.reason,
        "body": attempt.body,
    }


@prepared
def _ended_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _ENDED)
    names = ("state", "due_at", "round_attempts", "status", "reason", "finished_at")
    taken = {name: given.c[name] for name in names}
    return (
        update(deliveries)
        .where(*_as_it_was(given))
        .values(**taken, attempts=deliveries.c.attempts + 1)
        .returning(deliveries.c.id)
    )


def _as_it_was(given: FromClause) -> tuple[ColumnElement[bool], ...]:
    return deliveries.c.id == given.c.id, deliveries.c.attempts == given.c.expected, _PENDING


@prepared
def _health_statement() -> Update:
    told = {each.name: bindparam(f"its_{each.name}", type_=each.type) for each in HEALTH_COLUMNS}
    return update(endpoints).where(endpoints.c.id == _ENDPOINT).values(told)

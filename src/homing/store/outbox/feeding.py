"""From batches into lanes, a little at a time: a million messages of a batch stand in nobody's way, and a batch can be
paused without touching them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal_column, select, update

from homing.model.sends.outbox import BatchState, LaneClaim
from homing.store.db.database import Database
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words
from homing.store.db.schema.outbox import batches
from homing.store.db.schema.outbox import outbox_lanes as lanes
from homing.store.db.schema.tables import messages
from homing.store.db.sql import as_rows, given_rows

FED_BELOW, FED_TO = 100, 300
"""A lane with fewer messages waiting is filled up to so many."""
_BATCHES_MAX = 50


def feed(connection: Connection, database: Database, claim: LaneClaim, lane: AnyRow, now: datetime) -> None:
    """Fill the lane up from the account's running batches, the oldest first. The lane is locked by the caller."""
    running = _running(connection, claim)
    if not running or (waiting := _waiting(connection, claim)) >= FED_BELOW:
        return
    uuids: list[str] = []
    for batch in running:
        asked = {"account": claim.account_uuid, "batch": batch, "now": now, "limit": FED_TO - waiting - len(uuids)}
        uuids += connection.scalars(_unfed_due(), asked)
        if len(uuids) + waiting >= FED_TO:
            break
    if uuids:
        _place(connection, database, claim, lane.last_position, uuids)


def next_due(connection: Connection, claim: LaneClaim) -> datetime | None:
    """When the next message of the account's running batches is due; None if they have none left."""
    asked = [{"account": claim.account_uuid, "batch": each} for each in _running(connection, claim)]
    dues = [connection.scalar(_first_unfed(), each) for each in asked]
    return min((due for due in dues if due is not None), default=None)


def _running(connection: Connection, claim: LaneClaim) -> list[str]:
    return list(connection.scalars(_running_statement(), {"workspace": claim.workspace_id}))


def _waiting(connection: Connection, claim: LaneClaim) -> int:
    return int(connection.scalar(_waiting_statement(), {"account": claim.account_uuid}) or 0)


@prepared
def _running_statement() -> Select[Any]:
    running = select(batches.c.id).where(
        batches.c.workspace_id == bindparam("workspace"), batches.c.state == BatchState.RUNNING
    )
    return running.order_by(batches.c.id).limit(_BATCHES_MAX)


@prepared
def _waiting_statement() -> Select[Any]:
    placed = (
        select(messages.c.uuid)
        .where(messages.c.account_uuid == bindparam("account"), messages.c.state == literal_column("'accepted'"))
        .where(messages.c.position.is_not(None))
        .limit(FED_BELOW)
        .subquery("placed")
    )
    return select(func.count()).select_from(placed)


@prepared
def _unfed_due() -> Select[Any]:
    due = _unfed(messages.c.uuid).where(messages.c.due_at <= bindparam("now", type_=UtcDateTime()))
    return due.order_by(messages.c.uuid).limit(bindparam("limit"))


@prepared
def _first_unfed() -> Select[Any]:
    return _unfed(func.min(messages.c.due_at))


def _unfed(wanted: ColumnElement[Any]) -> Select[Any]:
    return (
        select(wanted)
        .where(messages.c.batch_id == bindparam("batch"), messages.c.state == literal_column("'accepted'"))
        .where(messages.c.account_uuid == bindparam("account"), messages.c.position.is_(None))
    )


def _place(connection: Connection, database: Database, claim: LaneClaim, last: int, uuids: list[str]) -> None:
    given = given_rows(database.dialect, "given", {"uuid": Words(), "position": BoundedInteger()})
    placed = update(messages).where(messages.c.uuid == given.c.uuid).values(position=given.c.position)
    rows = as_rows({"uuid": uuid, "position": last + number} for number, uuid in enumerate(uuids, start=1))
    connection.execute(placed, {"given": rows})
    longer = update(lanes).where(lanes.c.account_uuid == claim.account_uuid)
    connection.execute(longer.values(last_position=last + len(uuids)))

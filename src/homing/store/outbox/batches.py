"""Batches: their messages are kept at once and given to the lanes a little at a time (`feeding`)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, delete, func, literal_column, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Batch, BatchState, InvalidLine, NewBatch, NewMessage
from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.outbox import batch_errors, batches
from homing.store.db.schema.tables import messages
from homing.store.db.sql import dialect_of, insert
from homing.store.outbox import accepting
from homing.store.outbox.accepting import lengthen, wake
from homing.store.outbox.telling import tell_batches
from homing.store.records.recording import record

ERRORS_KEPT = 1_000
STALE_S = 3600.0
"""A batch that was not received to its end in this time never will be: its gateway died, or its caller left."""
_AT_ONCE = 5_000
_OPEN = (MessageState.ACCEPTED, MessageState.HELD, MessageState.DISPATCHING)
_NOW = bindparam("now", type_=UtcDateTime())


def begin(connection: Connection, database: Database, new: NewBatch) -> Batch | None:
    """Begin to receive it; or the batch that its key was used for, if that was taken."""
    now = database.now(connection)
    if new.key is not None:
        keyed = (batches.c.workspace_id == new.workspace_id, batches.c.key == new.key)
        found = connection.execute(select(batches).where(*keyed)).one_or_none()
        if found is not None and found.state not in (BatchState.RECEIVING, BatchState.REJECTED):
            return _of(connection, found)
        if found is not None:
            # It broke off. What came of it is not sent; this is the same request once more.
            again = {"key": None, "state": BatchState.REJECTED, "reason": "its request broke off", "updated_at": now}
            connection.execute(update(batches).where(batches.c.id == found.id).values(again))
    values = {
        "id": new.id,
        "workspace_id": new.workspace_id,
        "name": new.name,
        "state": BatchState.RECEIVING,
        "key": new.key,
        "fingerprint": new.fingerprint,
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(batches.insert().values(values))
    record(connection, "batch.accepted", f"batch {new.id}", after={"name": new.name})
    return None


def add(
    connection: Connection, database: Database, batch: str, new: Sequence[NewMessage], invalid: Sequence[InvalidLine]
) -> None:
    """Some more of its lines."""
    accepting.accept(connection, database, new)
    row = connection.execute(select(batches.c.invalid).where(batches.c.id == batch).with_for_update()).one()
    kept = invalid[: max(0, ERRORS_KEPT - row.invalid)]
    if kept:
        rows = [{"batch_id": batch, "line": each.line, "code": each.code, "detail": each.detail} for each in kept]
        connection.execute(insert(dialect_of(connection), batch_errors).on_conflict_do_nothing(), rows)
    more = {
        "messages": batches.c.messages + len(new),
        "invalid": batches.c.invalid + len(invalid),
        "updated_at": database.instant(),
    }
    connection.execute(update(batches).where(batches.c.id == batch).values(more))


def change(
    connection: Connection,
    database: Database,
    workspace: WorkspaceId | None,
    batch: str,
    to: BatchState,
    reason: str,
    fingerprint: str | None = None,
) -> tuple[bool, list[Notice]]:
    """Let it run, pause it, cancel or reject it; False where it is not in a state to."""
    from_ = _FROM[to]
    row = connection.execute(select(batches).where(batches.c.id == batch).with_for_update()).one_or_none()
    if row is None or (workspace is not None and row.workspace_id != workspace) or row.state not in from_:
        return False, []
    values = {"state": to, "reason": reason, "updated_at": database.instant()}
    if fingerprint is not None:
        values["fingerprint"] = fingerprint
    connection.execute(update(batches).where(batches.c.id == batch).values(values))
    record(connection, f"batch.{to.value}", f"batch {batch}", after={"state": to.value})
    notices: list[Notice] = []
    if to is BatchState.RUNNING:
        accounts = _accounts(connection, batch)
        for account in sorted(accounts):
            lengthen(connection, account, accounts[account], 0)
        notices = wake(connection, database, accounts)
    else:
        _take_out_of_lanes(connection, batch)
    if to is BatchState.CANCELLED and (cancelled := batch_of(connection, None, batch)) is not None:
        notices = [*notices, *tell_batches(connection, database, [cancelled])]
    return True, notices


_FROM = {
    BatchState.RUNNING: (BatchState.RECEIVING, BatchState.PAUSED),
    BatchState.PAUSED: (BatchState.RUNNING,),
    BatchState.CANCELLED: (BatchState.RUNNING, BatchState.PAUSED),
    BatchState.REJECTED: (BatchState.RECEIVING,),
    BatchState.RECEIVING: (),
    BatchState.DONE: (),
}


def _accounts(connection: Connection, batch: str) -> dict[AccountUuid, WorkspaceId]:
    named = select(messages.c.account_uuid, messages.c.workspace_id).where(
        messages.c.batch_id == batch, messages.c.state == MessageState.ACCEPTED
    )
    return {
        AccountUuid(row.account_uuid): WorkspaceId(row.workspace_id) for row in connection.execute(named.distinct())
    }


def _take_out_of_lanes(connection: Connection, batch: str) -> None:
    """Those that wait in a lane wait in the batch again, in their places of it."""
    waiting = (messages.c.batch_id == batch, messages.c.state.in_([MessageState.ACCEPTED, MessageState.HELD]))
    in_lanes = (*waiting, messages.c.position.is_not(None))
    connection.execute(update(messages).where(*in_lanes).values(position=None))


def sweep(connection: Connection, database: Database) -> tuple[int, Sequence[Notice]]:
    """Carry through what was decided of batches, some thousand messages at a time; returns how many were touched."""
    touched, done = _end_unfinished(connection, database)
    for state, batch in connection.execute(_given_up()).all():
        waiting = (
            select(messages.c.uuid)
            .where(messages.c.batch_id == batch)
            .where(messages.c.state.in_([MessageState.ACCEPTED, MessageState.HELD]))
            .limit(_AT_ONCE)
        )
        if state == BatchState.REJECTED:
            changed = connection.execute(delete(messages).where(messages.c.uuid.in_(waiting))).rowcount
        else:
            values: dict[str, Any] = {
                "state": MessageState.CANCELLED,
                "code": "cancelled",
                "reason": "its batch was cancelled",
            }
            values["updated_at"] = database.now(connection)
            changed = connection.execute(update(messages).where(messages.c.uuid.in_(waiting)).values(values)).rowcount
        touched += changed
    return touched, tell_batches(connection, database, done) if done else []


def _end_unfinished(connection: Connection, database: Database) -> tuple[int, list[Batch]]:
    """A running batch with nothing left is done; one that was received for too long is rejected."""
    now = database.now(connection)
    ended = [_of(connection, row) for row in connection.execute(_over(), {"now": now}).all()]
    gone = connection.execute(_broken_off(), {"now": now, "before": now - timedelta(seconds=STALE_S)}).rowcount
    return len(ended) + gone, ended


@prepared
def _given_up() -> Select[Any]:
    cancelled = batches.c.state == BatchState.CANCELLED
    return select(batches.c.state, batches.c.id).where(or_(cancelled, batches.c.state == BatchState.REJECTED))


@prepared
def _over() -> ReturningUpdate[Any]:
    still_open = messages.c.state.in_([literal_column(f"'{each.value}'") for each in _OPEN])
    left = select(messages.c.uuid).where(messages.c.batch_id == batches.c.id, still_open).limit(1)
    done = (batches.c.state == BatchState.RUNNING, ~left.exists())
    return update(batches).where(*done).values(state=BatchState.DONE, updated_at=_NOW).returning(batches)


@prepared
def _broken_off() -> Update:
    stale = (batches.c.state == BatchState.RECEIVING, batches.c.updated_at < bindparam("before", type_=UtcDateTime()))
    values = {"state": BatchState.REJECTED, "reason": "its request broke off", "key": None, "updated_at": _NOW}
    return update(batches).where(*stale).values(values)


def batch_of(connection: Connection, workspace: WorkspaceId | None, batch: str) -> Batch | None:
    statement = select(batches).where(batches.c.id == batch)
    if workspace is not None:
        statement = statement.where(batches.c.workspace_id == workspace)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _of(connection, row)


def page(connection: Connection, workspace: WorkspaceId | None, before: str | None, limit: int) -> list[Batch]:
    statement = select(batches).order_by(batches.c.id.desc()).limit(limit)
    if workspace is not None:
        statement = statement.where(batches.c.workspace_id == workspace)
    if before is not None:
        statement = statement.where(batches.c.id < before)
    return [_of(connection, row) for row in connection.execute(statement).all()]


def errors(connection: Connection, batch: str, after: int, limit: int) -> list[InvalidLine]:
    found = select(batch_errors).where(batch_errors.c.batch_id == batch, batch_errors.c.line > after)
    return [
        InvalidLine(row.line, row.code, row.detail)
        for row in connection.execute(found.order_by(batch_errors.c.line).limit(limit))
    ]


def _of(connection: Connection, row: AnyRow) -> Batch:
    counted = select(messages.c.state, func.count().label("number")).where(messages.c.batch_id == row.id)
    counts: dict[Any, int] = {
        MessageState(each.state): each.number for each in connection.execute(counted.group_by(messages.c.state))
    }
    return Batch(
        id=row.id,
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        state=BatchState(row.state),
        reason=row.reason,
        messages=row.messages,
        invalid=row.invalid,
        created_at=row.created_at,
        updated_at=row.updated_at,
        counts=counts,
        fingerprint=row.fingerprint,
    )

"""Telling customers what came of their messages and batches, in the transaction in which it came of them.

Only workspaces with endpoints are told; who looks for a message finds its state with or without.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, select

from homing.model.deliveries.deliveries import Fact
from homing.model.deliveries.endpoints import EndpointState
from homing.model.fleet import SessionId
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Batch, StateChange
from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.db.schema.deliveries import endpoints
from homing.store.db.schema.tables import accounts, sessions
from homing.store.deliveries.telling import append

Told = Callable[[Connection, Sequence[StateChange]], Sequence[Notice]]
"""Hears of state changes, within their transaction, as the last thing in it; the notices are the caller's to stage."""

_KINDS = {
    MessageState.SENT: "message_sent",
    MessageState.FAILED: "message_failed",
    MessageState.EXPIRED: "message_failed",
    MessageState.CANCELLED: "message_failed",
}
"""What customers are told of; a message in doubt is told of once it is not any more."""


def listens(connection: Connection, workspace: int) -> bool:
    """Whether anybody is told of what happens in the workspace."""
    enabled = (endpoints.c.workspace_id == workspace, endpoints.c.state == EndpointState.ENABLED.value)
    return connection.execute(select(endpoints.c.id).where(*enabled).limit(1)).first() is not None


def tell_changes(connection: Connection, database: Database, changes: Sequence[StateChange]) -> Sequence[Notice]:
    """Messages that were sent, or never will be."""
    ended = [each for each in changes if each.state in _KINDS]
    heard = {each.workspace_id: listens(connection, each.workspace_id) for each in ended}
    told = [each for each in ended if heard[each.workspace_id]]
    if not told:
        return []
    at, named = database.now(connection), _sessions(connection, sorted({each.account_uuid for each in told}))
    return append(connection, database, [_fact(each, named.get(each.account_uuid), at) for each in told])


def tell_batches(connection: Connection, database: Database, ended: Sequence[Batch]) -> Sequence[Notice]:
    """Batches of which nothing is left to send."""
    told = [each for each in ended if listens(connection, each.workspace_id)]
    return append(connection, database, [_batch_fact(each) for each in told])


def _sessions(connection: Connection, uuids: Sequence[str]) -> dict[str, str]:
    joined = accounts.join(sessions, sessions.c.account_id == accounts.c.id)
    found = select(accounts.c.uuid, sessions.c.session_id).select_from(joined).where(accounts.c.uuid.in_(uuids))
    return {row.uuid: row.session_id for row in connection.execute(found)}


def _fact(change: StateChange, session: str | None, at: Any) -> Fact:
    payload: dict[str, Any] = {
        "message": {"id": change.message_id, "to": change.recipient, "body": change.text, "from_me": True},
        "recipient": change.recipient,
        "message_uuid": change.message_uuid,
    }
    if change.batch_id is not None:
        payload["batch_id"] = change.batch_id
    if change.state is not MessageState.SENT:
        payload |= {"code": change.code, "reason": change.reason}
    return Fact(
        id=f"outbox_{change.message_uuid}_{change.state.value}",
        kind=_KINDS[change.state],
        workspace_id=change.workspace_id,
        at=at,
        payload=payload,
        session_id=SessionId(session) if session is not None else None,
        account_uuid=change.account_uuid,
    )


def _batch_fact(batch: Batch) -> Fact:
    return Fact(
        id=f"batch_{batch.id}_{batch.state.value}",
        kind="batch_done",
        workspace_id=batch.workspace_id,
        at=batch.updated_at,
        payload={
            "batch_id": batch.id,
            "name": batch.name,
            "state": batch.state.value,
            "messages": batch.messages,
            "invalid": batch.invalid,
            "states": {state.value: number for state, number in sorted(batch.counts.items())},
        },
    )

"""What people do with messages of the outbox: cancel, send what was held, settle what is unknown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Settle, StateChange
from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.db.schema.outbox import outbox_lanes as lanes
from homing.store.db.schema.tables import messages
from homing.store.db.turns import take_turn
from homing.store.outbox.accepting import WAITS, lengthen, wake
from homing.store.outbox.lanes import change_of
from homing.store.records.recording import record

_WAITING = (MessageState.ACCEPTED, MessageState.HELD)


def cancel(
    connection: Connection, database: Database, workspace: WorkspaceId | None, uuid: str
) -> tuple[list[StateChange], list[Notice]]:
    """Take back a message that has not left; nothing if it is not there, or left."""
    mine = _named(workspace, uuid)
    lane = connection.execute(select(messages.c.account_uuid, messages.c.workspace_id).where(mine)).one_or_none()
    if lane is None:
        return [], []
    lengthen(connection, AccountUuid(lane.account_uuid), WorkspaceId(lane.workspace_id), 0)
    taken_back = {
        "state": MessageState.CANCELLED,
        "code": "cancelled",
        "reason": "cancelled before it left",
        "updated_at": database.instant(),
    }
    statement = update(messages).where(mine, messages.c.state.in_(_WAITING)).values(taken_back).returning(messages)
    changed = [change_of(row) for row in connection.execute(statement)]
    for each in changed:
        record(connection, "message.cancelled", f"message {each.message_uuid}", after={"state": each.state.value})
    return changed, wake(connection, database, _lanes_of(changed))


def go(
    connection: Connection, database: Database, workspace: WorkspaceId | None, account: AccountUuid
) -> tuple[list[StateChange], list[Notice]]:
    """Send what was held back after a pairing, in its old order."""
    mine = and_(messages.c.account_uuid == account, messages.c.state == MessageState.HELD)
    if workspace is not None:
        mine = and_(mine, messages.c.workspace_id == workspace)
    number = connection.scalar(select(func.count()).select_from(messages).where(mine))
    record(connection, "outbox.released", f"account {account}", after={"messages": number})
    if not number:
        return [], []
    connection.execute(update(lanes).where(lanes.c.account_uuid == account).values(go_at=database.instant()))
    again = {"state": MessageState.ACCEPTED, "code": None, "reason": WAITS, "updated_at": database.instant()}
    statement = update(messages).where(mine).values(again).returning(messages)
    changed = [change_of(row) for row in connection.execute(statement)]
    return changed, wake(connection, database, _lanes_of(changed))


def settle(
    connection: Connection, database: Database, workspace: WorkspaceId | None, uuid: str, how: Settle, by: str
) -> tuple[list[StateChange], list[Notice]]:
    """What an operator says of a message whose outcome is unknown; nothing if there is no such message."""
    take_turn(connection)  # before the row is ours, as whoever stores a report does
    mine = and_(_named(workspace, uuid), messages.c.state == MessageState.UNKNOWN)
    row = connection.execute(select(messages).where(mine)).one_or_none()
    if row is None:
        return [], []
    account, owner = AccountUuid(row.account_uuid), WorkspaceId(row.workspace_id)
    place = lengthen(connection, account, owner, 1) + 1
    values = {**_said(how, by, place, database.now(connection)), "updated_at": database.instant()}
    statement = update(messages).where(mine).values(values).returning(messages)
    changed = [change_of(each) for each in connection.execute(statement)]
    record(connection, "message.settled", f"message {uuid}", after={"action": how.value})
    return changed, wake(connection, database, {account: owner})


def _said(how: Settle, by: str, place: int, now: datetime) -> dict[str, Any]:
    match how:
        case Settle.RESEND:
            # It was the first of its chat, and goes behind what went on: it is late, and says so.
            return {
                "state": MessageState.ACCEPTED,
                "code": "resent",
                "reason": f"{by} sends it again, out of order",
                "position": place,
                "due_at": now,
                "expires_at": None,
                "interruptions": 0,
                "unknown_at": None,
                "chat": func.coalesce(messages.c.chat, messages.c.recipient_phone),
            }
        case Settle.MARK_SENT:
            return {"state": MessageState.SENT, "code": None, "reason": f"{by} says that it was sent"}
        case Settle.MARK_FAILED:
            return {"state": MessageState.FAILED, "code": "marked_failed", "reason": f"{by} says that it failed"}
        case _:
            assert_never(how)


def _named(workspace: WorkspaceId | None, uuid: str) -> ColumnElement[bool]:
    mine = messages.c.uuid == uuid
    return mine if workspace is None else and_(mine, messages.c.workspace_id == workspace)


def _lanes_of(changed: Sequence[StateChange]) -> dict[AccountUuid, WorkspaceId]:
    return {each.account_uuid: each.workspace_id for each in changed}

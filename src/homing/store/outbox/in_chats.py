"""Unknown messages that were looked for in their chats: what may stand there in their place, and what came of it."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, func, literal_column, select, update

from homing.decide.reports.settling import bare_id
from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.instances.events import Settlement
from homing.model.sends.history import Alike
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.sends.outbox import StateChange
from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.db.schema.tables import messages
from homing.store.db.turns import take_turn
from homing.store.outbox.accepting import lengthen, wake
from homing.store.outbox.lanes import change_of

_MAY_HAVE_GONE = ("'unknown'", "'dispatching'")
REASON_MAX = 1_000


def alike(connection: Connection, record: MessageRecord, ids: Collection[str]) -> Alike:
    """Which of these ids are those of other messages of the account, and how many of the same words are in doubt."""
    spelt = {each: _spellings(each) for each in ids}
    every = sorted({one for each in spelt.values() for one in each})
    others = (messages.c.account_uuid == record.account_uuid, messages.c.uuid != record.uuid)
    known = set(connection.scalars(select(messages.c.message_id).where(*others, messages.c.message_id.in_(every))))
    open_ones = (
        select(func.count())
        .select_from(messages)
        .where(*others, messages.c.state.in_([literal_column(each) for each in _MAY_HAVE_GONE]))
        .where(messages.c.text == record.text, messages.c.recipient_phone == record.recipient_phone)
    )
    taken = frozenset(each for each, ways in spelt.items() if ways & known)
    return Alike(taken, int(connection.scalar(open_ones) or 0))


def found(connection: Connection, database: Database, settlement: Settlement) -> tuple[list[StateChange], list[Notice]]:
    """Its chat shows the message: it was sent, unless somebody has said otherwise, or the id became another's."""
    take_turn(connection)  # before the row is ours, as whoever stores a report does
    row = connection.execute(select(messages).where(*_unknown(settlement.message_uuid))).one_or_none()
    if row is None:
        return [], []
    account, workspace = AccountUuid(row.account_uuid), WorkspaceId(row.workspace_id)
    same_id = (messages.c.account_uuid == account, messages.c.message_id.in_(sorted(_spellings(settlement.message_id))))
    if connection.scalar(select(messages.c.uuid).where(*same_id, messages.c.uuid != row.uuid).limit(1)) is not None:
        return [], []
    values = {
        "state": MessageState.SENT,
        "code": None,
        "reason": f"it was sent after all: {settlement.reason}",
        "message_id": settlement.message_id,
        "updated_at": database.instant(),
    }
    if row.position is not None:
        lengthen(connection, account, workspace, 0)
    statement = update(messages).where(*_unknown(row.uuid)).values(values).returning(messages)
    changed = [change_of(each) for each in connection.execute(statement)]
    return changed, wake(connection, database, {account: workspace}) if row.position is not None else []


def remark(connection: Connection, uuid: str, why: str) -> None:
    """What came of looking, behind why it is unknown; once."""
    row = connection.execute(select(messages.c.reason).where(*_unknown(uuid))).one_or_none()
    if row is not None and not row.reason.endswith(why):
        reason = f"{row.reason}; {why}"[:REASON_MAX]
        connection.execute(update(messages).where(*_unknown(uuid)).values(reason=reason))


def _unknown(uuid: str) -> tuple[ColumnElement[bool], ...]:
    return messages.c.uuid == uuid, messages.c.state == MessageState.UNKNOWN


def _spellings(message_id: str) -> frozenset[str]:
    """The ways in which receipts and chats of one gateway write an id: bare, or with the chat before it."""
    return frozenset({message_id, bare_id(message_id), message_id.removesuffix("_out"), f"{message_id}_out"})

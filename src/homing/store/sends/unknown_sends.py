"""Unknown sends and the reports that settle them, whichever of the two is stored first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, literal, literal_column, select, update

from homing.decide.reports import settling
from homing.model.fleet import AccountUuid, SessionId
from homing.model.instances.events import DeliveryEvidence, Settlement
from homing.model.sends.messages import MessageRecord, MessageState
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import message_of
from homing.store.db.schema.tables import events, messages
from homing.store.db.sql import among, dialect_of

_UNKNOWN_MAX = 200
_EVENTS_MAX = 500


def settle_by_event(
    connection: Connection, sign: DeliveryEvidence, account: AccountUuid, event_id: str, at: datetime
) -> None:
    """A report was stored: it may tell of a send recorded as unknown, or of how far a message of the outbox came."""
    _progress(connection, sign, account, at)
    rows = connection.execute(_unknown_statement(), {"account": account}).all()
    if not rows:
        return
    if sign.recipient_hidden and len(rows) >= _UNKNOWN_MAX:
        sign = replace(sign, text=None)  # there may be more, so none is the only one
    known = _accounted_for(connection, account, [sign])
    found = settling.settled([message_of(row) for row in rows], sign, at, known_ids=known)
    if found is not None:
        _settle(connection, found, event_id, at)


_FURTHER = {
    MessageState.SENT: ("dispatching", "unknown"),
    MessageState.DELIVERED: ("dispatching", "unknown", "sent"),
    MessageState.READ: ("dispatching", "unknown", "sent", "delivered"),
}
"""From which states a message goes on to each."""


def _progress(connection: Connection, sign: DeliveryEvidence, account: AccountUuid, at: datetime) -> None:
    """A message of the outbox, named by its id, came so far. Late word of less changes nothing."""
    if sign.message_id is None:
        return
    state = MessageState(sign.reached)
    named = messages.c.message_id.in_(sorted({sign.message_id, settling.bare_id(sign.message_id)}))
    went_on = (
        update(messages)
        .where(messages.c.account_uuid == account, named, messages.c.chat.is_not(None))
        .where(messages.c.state.in_(_FURTHER[state]))
        .values(state=state, code=None, reason=f"a {sign.kind} event says so", updated_at=at)
    )
    connection.execute(went_on)


@prepared
def _unknown_statement() -> Select[Any]:
    return (
        select(messages)
        .where(messages.c.account_uuid == bindparam("account"), messages.c.state == literal(MessageState.UNKNOWN.value))
        .order_by(messages.c.uuid.desc())
        .limit(literal_column(str(_UNKNOWN_MAX), Integer()))
    )


def settle_by_record(connection: Connection, record: MessageRecord) -> bool:
    """A send was recorded as unknown: a report that came before may tell of it. Answers whether one did."""
    rows = connection.execute(
        select(events)
        .where(
            events.c.account_uuid == record.account_uuid,
            events.c.kind.in_(sorted(settling.KINDS)),
            events.c.received_at >= settling.earliest(record),
        )
        .order_by(events.c.sequence)
        .limit(_EVENTS_MAX)
    ).all()
    read = [(row, settling.sign_of(row.kind, SessionId(row.session_id), row.payload)) for row in rows]
    signs = [(row, sign) for row, sign in read if sign is not None]
    known = _accounted_for(connection, record.account_uuid, [sign for _, sign in signs])
    is_hidden = any(sign.recipient_hidden for _, sign in signs)
    doubtful = _unknown_with(connection, record) if is_hidden else [record]
    for row, sign in signs:
        candidates = doubtful if sign.recipient_hidden else [record]
        found = settling.settled(candidates, sign, row.received_at, known_ids=known)
        if found is not None and found.message_uuid == record.uuid:
            _settle(connection, found, row.id, record.updated_at)
            return True
    return False


def _unknown_with(connection: Connection, record: MessageRecord) -> list[MessageRecord]:
    """The account's unknown sends, of which the record is one."""
    rows = connection.execute(_unknown_statement(), {"account": record.account_uuid}).all()
    others = [message_of(row) for row in rows if row.uuid != record.uuid]
    return [record, *others]


def _accounted_for(connection: Connection, account: AccountUuid, signs: Sequence[DeliveryEvidence]) -> set[str]:
    """Of the signs' message ids those under which a message of the account is known. One statement: whoever asks has
    the turn, and all others wait."""
    named = sorted({sign.message_id for sign in signs if sign.message_id})
    if not named:
        return set()
    return set(connection.scalars(_known_ids(dialect_of(connection)), {"account": account, "named": named}))


@prepared
def _known_ids(dialect: Dialect) -> Select[Any]:
    is_its = messages.c.account_uuid == bindparam("account")
    return select(messages.c.message_id).where(is_its, among(dialect, messages.c.message_id, "named"))


def _settle(connection: Connection, found: Settlement, event_id: str, at: datetime) -> None:
    connection.execute(
        update(messages)
        .where(messages.c.uuid == found.message_uuid, messages.c.state == MessageState.UNKNOWN)
        .values(
            state=MessageState.SENT,
            code=None,
            reason=f"it was sent after all: {found.reason} (event {event_id})",
            message_id=found.message_id,
            updated_at=at,
        )
    )

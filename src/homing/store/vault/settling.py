"""Messages that need no repeating any more, and are forgotten after a while."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    bindparam,
    delete,
    literal_column,
    null,
    select,
    true,
    tuple_,
    update,
)

from homing.model.instances.vault import SENT, Grant, StaleEpoch
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words
from homing.store.db.schema.device_state import inbox, session_keys
from homing.store.db.schema.tables import reservations
from homing.store.db.sql import as_rows, dialect_of, given_rows
from homing.store.vault.rows import GRANT, grant_row, is_under, locked, under

REPEATED_WITHIN_S = 14 * 86_400.0
"""WhatsApp may offer a message again that long after it came: until then it is known."""


@dataclass(frozen=True, slots=True)
class AcknowledgedCounter:
    """WhatsApp has the message of this counter."""

    grant: Grant
    counter: int


def acknowledge(connection: Connection, notes: Sequence[AcknowledgedCounter], now: datetime) -> None:
    """Note these, as far as their grants still stand, and forget their frames."""
    given = as_rows({**grant_row(note.grant), "counter": note.counter} for note in notes)
    connection.execute(_acknowledge_statement(dialect_of(connection)), {"given": given, "noted_at": now})


@dataclass(frozen=True, slots=True)
class ToldMessage:
    """The listener has the message of this id and digest."""

    grant: Grant
    message_id: str
    digest: str


def told(connection: Connection, notes: Sequence[ToldMessage], now: datetime) -> None:
    """Note these, as far as their grants still stand, and forget their bodies."""
    given = as_rows({**grant_row(note.grant), "message_id": note.message_id, "digest": note.digest} for note in notes)
    connection.execute(_told_statement(dialect_of(connection)), {"given": given, "noted_at": now})


def drop(connection: Connection, grant: Grant, counters: Collection[int]) -> StaleEpoch | None:
    """Nothing is kept of a message that will not be repeated: wanted again, it is a new one, with a counter that is
    not behind those of others."""
    row = locked(connection, [grant.session_id]).get(grant.session_id)
    if row is None or not is_under(row, grant):
        return StaleEpoch(0 if row is None else row.epoch)
    these = (reservations.c.session_id == grant.session_id, reservations.c.counter.in_(sorted(counters)))
    connection.execute(delete(reservations).where(*these, reservations.c.settled_at.is_(None)))
    return None


class SqlReservations:
    """`ports.Reservations` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(self, *, keep_s: float, limit: int) -> int:
        return await self._database.write(lambda c: _prune(c, self._database, keep_s, limit))

    async def forget_sent(self, *, keep_s: float, limit: int) -> int:
        return await self._database.write(lambda c: _forget_sent(c, self._database, keep_s, limit))


def _prune(connection: Connection, database: Database, keep_s: float, limit: int) -> int:
    old = (
        select(reservations.c.session_id, reservations.c.counter)
        .where(reservations.c.settled_at.is_not(None), reservations.c.settled_at < database.instant(-keep_s))
        .order_by(reservations.c.settled_at)
        .limit(limit)
    )
    key = tuple_(reservations.c.session_id, reservations.c.counter)
    pruned = connection.execute(delete(reservations).where(key.in_(old))).rowcount
    return max(pruned, _prune_inbox(connection, database, keep_s, limit))


def _prune_inbox(connection: Connection, database: Database, keep_s: float, limit: int) -> int:
    name = (inbox.c.session_id, inbox.c.message_id, inbox.c.digest)
    told_before = (inbox.c.told_at.is_not(None), inbox.c.told_at < database.instant(-max(keep_s, REPEATED_WITHIN_S)))
    old = select(*name).where(*told_before).order_by(inbox.c.told_at).limit(limit)
    return connection.execute(delete(inbox).where(tuple_(*name).in_(old))).rowcount


def _forget_sent(connection: Connection, database: Database, keep_s: float, limit: int) -> int:
    old = sent_before(database.instant(-keep_s)).limit(limit)
    return connection.execute(delete(session_keys).where(tuple_(*_NAME).in_(old))).rowcount


def sent_before(moment: ColumnElement[datetime]) -> Select[tuple[str, str, str]]:
    """What was sent before then, the oldest first. The kind is written out: the index is of that kind alone."""
    is_sent = session_keys.c.kind == literal_column(f"'{SENT}'")
    return select(*_NAME).where(is_sent, session_keys.c.updated_at < moment).order_by(session_keys.c.updated_at)


_NAME = (session_keys.c.session_id, session_keys.c.kind, session_keys.c.id)


@prepared
def _told_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {**GRANT, "message_id": Words(), "digest": Words()})
    named = (inbox.c.session_id == given.c.session_id, inbox.c.message_id == given.c.message_id)
    return (
        update(inbox)
        .where(*under(given))
        .where(*named, inbox.c.digest == given.c.digest, inbox.c.told_at.is_(None))
        .values(told_at=bindparam("noted_at", type_=UtcDateTime()), body=null(), body_key=null())
    )


@prepared
def _acknowledge_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {**GRANT, "counter": BoundedInteger()})
    return (
        update(reservations)
        .where(*under(given))
        .where(reservations.c.session_id == given.c.session_id, reservations.c.counter == given.c.counter)
        .where(reservations.c.settled_at.is_(None))
        .values(
            settled_at=bindparam("noted_at", type_=UtcDateTime()), acknowledged=true(), frame=null(), frame_key=null()
        )
    )

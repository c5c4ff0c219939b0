"""Messages that need no repeating any more, and are forgotten after a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Delete, Update, bindparam, delete, null, select, true, tuple_, update
from sqlalchemy.types import TypeEngine

from homing.model.vault import Grant
from homing.store.columns import Number, UtcDateTime
from homing.store.database import Dialect
from homing.store.schema import reservations
from homing.store.sql import as_rows, dialect_of, given_rows
from homing.store.vault_rows import GRANT, grant_row, under


@dataclass(frozen=True, slots=True)
class Settling:
    """A message that needs no repeating: WhatsApp has it, or never will."""

    grant: Grant
    counter: int
    acknowledged: bool


def settle(connection: Connection, notes: Sequence[Settling], now: datetime) -> None:
    """Note these, as far as their grants still stand.

    Of what WhatsApp has the frame is forgotten. Of what it never will have nothing is kept: wanted again, it is a new
    message, with a counter that is not behind those of others.
    """
    dialect = dialect_of(connection)
    acknowledged = [note for note in notes if note.acknowledged]
    if acknowledged:
        connection.execute(_acknowledge_statement(dialect), {"given": _rows(acknowledged), "noted_at": now})
    dropped = [note for note in notes if not note.acknowledged]
    if dropped:
        connection.execute(_drop_statement(dialect), {"given": _rows(dropped)})


def _rows(notes: Sequence[Settling]) -> str:
    return as_rows({**grant_row(note.grant), "counter": note.counter} for note in notes)


def prune(connection: Connection, before: Any, limit: int) -> int:
    """Forget messages that were settled before this moment, at most so many."""
    key = tuple_(reservations.c.session_id, reservations.c.counter)
    old = (
        select(reservations.c.session_id, reservations.c.counter)
        .where(reservations.c.settled_at.is_not(None), reservations.c.settled_at < before)
        .order_by(reservations.c.settled_at)
        .limit(limit)
    )
    return connection.execute(delete(reservations).where(key.in_(old))).rowcount


_SETTLED: dict[str, TypeEngine[Any]] = {**GRANT, "counter": Number()}


@cache
def _acknowledge_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _SETTLED)
    return (
        update(reservations)
        .where(*under(given))
        .where(reservations.c.session_id == given.c.session_id, reservations.c.counter == given.c.counter)
        .where(reservations.c.settled_at.is_(None))
        .values(
            settled_at=bindparam("noted_at", type_=UtcDateTime()), acknowledged=true(), frame=null(), frame_key=null()
        )
    )


@cache
def _drop_statement(dialect: Dialect) -> Delete:
    given = given_rows(dialect, "given", _SETTLED)
    standing = select(given.c.session_id, given.c.counter).where(*under(given))
    key = tuple_(reservations.c.session_id, reservations.c.counter)
    return delete(reservations).where(key.in_(standing), reservations.c.settled_at.is_(None))

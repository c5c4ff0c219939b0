"""Messages that need no repeating any more, and are forgotten after a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, delete, null, select, tuple_, update
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
    """Note these, as far as their grants still stand, and forget their frames."""
    given = as_rows(
        {**grant_row(note.grant), "counter": note.counter, "acknowledged": int(note.acknowledged)} for note in notes
    )
    connection.execute(_settle_statement(dialect_of(connection)), {"given": given, "noted_at": now})


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


_SETTLED: dict[str, TypeEngine[Any]] = {**GRANT, "counter": Number(), "acknowledged": Number()}


@cache
def _settle_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _SETTLED)
    return (
        update(reservations)
        .where(*under(given))
        .where(reservations.c.session_id == given.c.session_id, reservations.c.counter == given.c.counter)
        .where(reservations.c.settled_at.is_(None))
        .values(
            settled_at=bindparam("noted_at", type_=UtcDateTime()),
            acknowledged=given.c.acknowledged == 1,
            frame=null(),
            frame_key=null(),
        )
    )

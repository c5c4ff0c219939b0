"""Counters of messages: reserved before their bytes leave, and settled once WhatsApp has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Update, and_, bindparam, delete, false, insert, null, select, tuple_, update
from sqlalchemy.types import TypeEngine

from homing.model.vault import Grant, Reservation, Reserved, ReservedBefore, StaleEpoch
from homing.store.columns import Number, UtcDateTime, Words, as_base64
from homing.store.database import Database, Dialect
from homing.store.rows import AnyRow
from homing.store.schema import credentials, reservations
from homing.store.sealing import Sealed
from homing.store.sql import as_rows, dialect_of, given_rows
from homing.store.vault_rows import GRANT, grant_row, now_of, refusals, under


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message that is to have a counter, under this grant."""

    grant: Grant
    message_id: str
    frame: Sealed

    def row(self, place: int) -> dict[str, str | int | None]:
        return {
            "place": place,
            **grant_row(self.grant),
            "message_id": self.message_id,
            "frame": as_base64(self.frame.text),
            "frame_key": self.frame.key_id,
        }


Answer = Reservation | StaleEpoch


def reserve(connection: Connection, database: Database, wanted: Sequence[Wanted]) -> list[Answer]:
    """A counter for each of these, in their order. A message whose id has one already keeps that."""
    found = _reserved(connection, database, wanted)
    stale = refusals(connection, [each.grant for place, each in enumerate(wanted) if place not in found])
    return [found[place] if place in found else stale[each.grant.session_id] for place, each in enumerate(wanted)]


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


# --- reserving ----------------------------------------------------------------------------------------------------

_WANTED: dict[str, TypeEngine[Any]] = {
    "place": Number(),
    **GRANT,
    "message_id": Words(),
    "frame": Words(),
    "frame_key": Words(),
}
_FRESH: dict[str, TypeEngine[Any]] = {
    "session_id": Words(),
    "counter": Number(),
    "epoch": Number(),
    "message_id": Words(),
    "frame": Words(),
    "frame_key": Words(),
}


def _reserved(connection: Connection, database: Database, wanted: Sequence[Wanted]) -> dict[int, Reservation]:
    """The counters, by the places of those whose grants stand."""
    dialect = dialect_of(connection)
    given = as_rows(each.row(place) for place, each in enumerate(wanted))
    counters = _Counters()
    for row in connection.execute(_held_statement(dialect), {"given": given}):
        counters.add(row, wanted[row.place].message_id)
    if counters.fresh:
        now = now_of(connection, database)
        if counters.anew:
            forgotten = as_rows({"session_id": session, "message_id": id} for session, id in counters.anew)
            connection.execute(_forget_statement(dialect), {"given": forgotten})
        fresh = as_rows({**wanted[place].row(place), "counter": counter} for place, counter in counters.fresh.items())
        connection.execute(_insert_statement(dialect), {"given": fresh, "reserved": now})
        raised = as_rows({"session_id": session, "counter": last} for session, last in counters.last.items())
        connection.execute(_raise_statement(dialect), {"given": raised, "reserved": now})
    return counters.found


class _Counters:
    """Gives out counters, one after the other in each session."""

    def __init__(self) -> None:
        self.found: dict[int, Reservation] = {}
        self.fresh: dict[int, int] = {}
        self.last: dict[str, int] = {}
        self.anew: list[tuple[str, str]] = []
        self._given: dict[tuple[str, str], int] = {}

    def add(self, row: AnyRow, message_id: str) -> None:
        message = (row.session_id, message_id)
        if message in self._given:
            self.found[row.place] = ReservedBefore(self._given[message], acknowledged=False)
        elif row.counter is not None and (row.acknowledged or row.settled_at is None):
            self.found[row.place] = ReservedBefore(row.counter, row.acknowledged)
        else:
            if row.counter is not None:
                self.anew.append(message)  # dropped: its old counter is behind what was said since
            counter = self.last.get(row.session_id, row.reserved_to) + 1
            self.last[row.session_id] = self.fresh[row.place] = self._given[message] = counter
            self.found[row.place] = Reserved(counter)


@cache
def _held_statement(dialect: Dialect) -> Select[Any]:
    given = given_rows(dialect, "given", _WANTED)
    before = and_(reservations.c.session_id == given.c.session_id, reservations.c.message_id == given.c.message_id)
    known = (reservations.c.counter, reservations.c.acknowledged, reservations.c.settled_at)
    return (
        select(given.c.place, given.c.session_id, credentials.c.reserved_to, *known)
        .select_from(given.join(credentials, and_(*under(given))).outerjoin(reservations, before))
        .order_by(given.c.session_id, given.c.place)
        .with_for_update(of=credentials)
    )


@cache
def _forget_statement(dialect: Dialect) -> Any:
    given = given_rows(dialect, "given", {"session_id": Words(), "message_id": Words()})
    key = tuple_(reservations.c.session_id, reservations.c.message_id)
    return delete(reservations).where(key.in_(select(given.c.session_id, given.c.message_id)))


@cache
def _insert_statement(dialect: Dialect) -> Any:
    given = given_rows(dialect, "given", _FRESH)
    chosen = select(*(given.c[name] for name in _FRESH), bindparam("reserved", type_=UtcDateTime()), false())
    return insert(reservations).from_select([*_FRESH, "reserved_at", "acknowledged"], chosen)


@cache
def _raise_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {"session_id": Words(), "counter": Number()})
    raised = {"reserved_to": given.c.counter, "updated_at": bindparam("reserved", type_=UtcDateTime())}
    return update(credentials).where(credentials.c.session_id == given.c.session_id).values(raised)


# --- settling -----------------------------------------------------------------------------------------------------

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

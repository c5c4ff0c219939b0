"""Counters of messages, reserved before their bytes leave."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Insert, Select, Update, and_, bindparam, false, select, update

from homing.model.instances.vault import Grant, Reservation, Reserved, ReservedBefore
from homing.store.db.database import Database
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words, as_base64
from homing.store.db.schema.tables import credentials, reservations
from homing.store.db.sql import as_rows, dialect_of, given_rows, insert
from homing.store.vault.reserving_at_once import ASKED, FRESH, all_in_one_statement, same_message
from homing.store.vault.rows import grant_row, under
from homing.store.vault.sealing import SealedText


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """A message that is to have a counter, under this grant."""

    grant: Grant
    message_id: str
    frame: SealedText

    @property
    def message(self) -> Hashable:
        """Two that are equal in this want the same counter."""
        return self.grant.session_id, self.grant.epoch, self.grant.holder, self.message_id

    def asked(self, place: int) -> dict[str, str | int | None]:
        # The store may have lost that this holder was given counters: none of them is given again.
        past = self.grant.next_counter - 1
        return {"place": place, **grant_row(self.grant), "message_id": self.message_id, "past": past}

    def row(self, place: int) -> dict[str, str | int | None]:
        return {**self.asked(place), "frame": as_base64(self.frame.text), "frame_key": self.frame.key_id}


def reserve(connection: Connection, database: Database, wanted: Sequence[ReservationRequest]) -> dict[int, Reservation]:
    """A counter for each of these whose grant stands, by its place. No session has two of one message id.

    A message whose id has a counter already keeps that. Done again after its answer was lost, it answers the same: what
    was reserved here is told by its sealed frame, of which there are no two alike.
    """
    if dialect_of(connection) == "sqlite":
        return _reserved_in_steps(connection, database, wanted)
    given = {"given": as_rows(each.row(place) for place, each in enumerate(wanted))}
    return {row.place: _told(row) for row in connection.execute(all_in_one_statement(), given)}


def _reserved_in_steps(
    connection: Connection, database: Database, wanted: Sequence[ReservationRequest]
) -> dict[int, Reservation]:
    given = {"given": as_rows(each.asked(place) for place, each in enumerate(wanted))}
    last: dict[str, int] = {}
    fresh: dict[int, int] = {}
    found: dict[int, Reservation] = {}
    for row in connection.execute(_held_statement(), given):
        if row.counter is None:
            before = last.get(row.session_id, max(row.reserved_to, row.past))
            fresh[row.place] = last[row.session_id] = before + 1
            found[row.place] = Reserved(fresh[row.place])
        else:
            found[row.place] = ReservedBefore(row.counter, row.acknowledged)
    if fresh:
        now = database.now(connection)
        rows = as_rows({**wanted[place].row(place), "counter": counter} for place, counter in fresh.items())
        connection.execute(_insert_statement(), {"given": rows, "reserved": now})
        raised = as_rows({"session_id": session, "counter": counter} for session, counter in last.items())
        connection.execute(_raise_statement(), {"given": raised, "reserved": now})
    return found


@prepared
def _held_statement() -> Select[Any]:
    given = given_rows("sqlite", "given", ASKED)
    known = (reservations.c.counter, reservations.c.acknowledged)
    return (
        select(given.c.place, given.c.session_id, given.c.past, credentials.c.reserved_to, *known)
        .select_from(given.join(credentials, and_(*under(given))).outerjoin(reservations, same_message(given)))
        .order_by(given.c.session_id, given.c.place)
    )


@prepared
def _insert_statement() -> Insert:
    given = given_rows("sqlite", "given", FRESH)
    chosen = select(*(given.c[name] for name in FRESH), bindparam("reserved", type_=UtcDateTime()), false())
    return insert("sqlite", reservations).from_select([*FRESH, "reserved_at", "acknowledged"], chosen)


@prepared
def _raise_statement() -> Update:
    given = given_rows("sqlite", "given", {"session_id": Words(), "counter": BoundedInteger()})
    raised = {"reserved_to": given.c.counter, "updated_at": bindparam("reserved", type_=UtcDateTime())}
    return update(credentials).where(credentials.c.session_id == given.c.session_id).values(raised)


def _told(row: AnyRow) -> Reservation:
    return Reserved(row.counter) if row.mine else ReservedBefore(row.counter, row.acknowledged)

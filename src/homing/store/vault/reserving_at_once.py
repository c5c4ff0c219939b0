"""Reserving counters on PostgreSQL, where each statement is a round trip: one statement for all."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, Select, and_, false, func, select, union_all, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from homing.store.db.prepared import prepared
from homing.store.db.schema.columns import BoundedInteger, Words
from homing.store.db.schema.tables import credentials, reservations
from homing.store.db.sql import given_rows
from homing.store.vault.rows import GRANT, under

ASKED: dict[str, TypeEngine[Any]] = {
    "place": BoundedInteger(),
    **GRANT,
    "message_id": Words(),
    "past": BoundedInteger(),
}
FRESH: dict[str, TypeEngine[Any]] = {
    "session_id": Words(),
    "counter": BoundedInteger(),
    "epoch": BoundedInteger(),
    "message_id": Words(),
    "frame": Words(),
    "frame_key": Words(),
}


def same_message(given: FromClause) -> ColumnElement[bool]:
    return and_(reservations.c.session_id == given.c.session_id, reservations.c.message_id == given.c.message_id)


@prepared
def all_in_one_statement() -> Select[Any]:
    """A row for each message whose grant stands. `mine`: its frame is the one that is kept.

    What `held` waited for it sees as it is then, all else as it was when the statement began. That is enough: only a
    holder reserves for its session, one batch after the other, and a new holder begins after all of the last one's. A
    batch that is repeated while its first try is still under way meets that one's rows as conflicts.
    """
    asked = select(given_rows("postgresql", "given", {**ASKED, "frame": Words(), "frame_key": Words()})).cte("asked")
    held = (
        select(asked, credentials.c.reserved_to)
        .join(credentials, and_(*under(asked)))
        .order_by(asked.c.session_id, asked.c.place)
        .with_for_update(of=credentials)
        .cte("held")
    )
    known = (reservations.c.counter, reservations.c.acknowledged, reservations.c.frame)
    before = (
        select(held.c.place, held.c.frame.label("asked"), *known).join(reservations, same_message(held)).cte("before")
    )
    number = func.row_number().over(partition_by=held.c.session_id, order_by=held.c.place)
    fresh = (
        select(held, (func.greatest(held.c.reserved_to, held.c.past) + number).label("counter"))
        .where(held.c.place.not_in(select(before.c.place)))
        .cte("fresh")
    )
    made = _reserved(fresh)
    told = (made.c.counter, made.c.acknowledged, made.c.frame)
    ours = and_(made.c.session_id == fresh.c.session_id, made.c.message_id == fresh.c.message_id)
    now_made = select(fresh.c.place, fresh.c.frame.label("asked"), *told).join(made, ours)
    both = union_all(select(before), now_made).subquery("both")
    mine = func.coalesce(both.c.frame == both.c.asked, false()).label("mine")
    return select(both.c.place, both.c.counter, both.c.acknowledged, mine).add_cte(_raised(fresh))


def _reserved(fresh: CTE) -> CTE:
    names = [*FRESH, "reserved_at", "acknowledged"]
    chosen = select(*(fresh.c[name] for name in FRESH), func.clock_timestamp(), false())
    adding = postgresql.insert(reservations).from_select(names, chosen)
    kept = adding.on_conflict_do_update(
        index_elements=[reservations.c.session_id, reservations.c.message_id],
        set_={"message_id": adding.excluded.message_id},
    )
    told = (reservations.c.session_id, reservations.c.message_id, reservations.c.counter)
    return kept.returning(*told, reservations.c.acknowledged, reservations.c.frame).cte("made")


def _raised(fresh: CTE) -> CTE:
    last = select(fresh.c.session_id, func.max(fresh.c.counter).label("counter")).group_by(fresh.c.session_id)
    top = last.subquery("top")
    return (
        update(credentials)
        .where(credentials.c.session_id == top.c.session_id)
        .values(reserved_to=top.c.counter, updated_at=func.clock_timestamp())
        .returning(credentials.c.session_id)
        .cte("raised")
    )

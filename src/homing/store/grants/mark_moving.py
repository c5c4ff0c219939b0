"""Marking sessions that are about to be stopped where they are, and taking the mark back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, Text, Update, bindparam, select, update
from sqlalchemy.types import TypeEngine

from homing.model.fleet import AccountUuid, InstanceUrl, Placement, PlacementState, SessionId
from homing.ports import Notice, PlacementChanged
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS, AnyRow, placement_of
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime
from homing.store.db.schema.tables import accounts, sessions
from homing.store.db.sql import among, as_rows, dialect_of, given_rows

_MARKED: dict[str, TypeEngine[Any]] = {"session_id": Text(), "url": Text(), "epoch": BoundedInteger()}


def mark(
    connection: Connection, database: Database, placed: Sequence[Placement], state: PlacementState
) -> tuple[list[Placement], list[Notice]]:
    """Put those of these that still live there, under that epoch, into this state; and whom to tell of it.

    One that was in it already is in the answer too, and news to nobody.
    """
    dialect = dialect_of(connection)
    given = as_rows({"session_id": each.session_id, "url": each.instance_url, "epoch": each.epoch} for each in placed)
    asked = {"sessions": sorted(each.session_id for each in placed)}
    before = {row.session_id: row for row in connection.execute(_locked_statement(dialect), asked)}
    connection.execute(
        _marked_statement(dialect), {"given": given, "marked_state": state, "marked_at": database.now(connection)}
    )
    standing = [each for each in placed if _same_place(each, before.get(each.session_id))]
    told: list[Notice] = [
        _notice(each, before[each.session_id].uuid)
        for each in standing
        if placement_of(before[each.session_id]).state is not state
    ]
    return [Placement(each.session_id, each.instance_url, each.epoch, state) for each in standing], told


def _same_place(placement: Placement, row: AnyRow | None) -> bool:
    if row is None:
        return False
    stored = placement_of(row)
    return (stored.instance_url, stored.epoch) == (placement.instance_url, placement.epoch)


def _notice(placement: Placement, account_uuid: str) -> Notice:
    url: InstanceUrl | None = placement.instance_url
    return PlacementChanged(SessionId(placement.session_id), AccountUuid(account_uuid), placement.epoch, url, url)


@prepared
def _locked_statement(dialect: Dialect) -> Select[Any]:
    return (
        select(sessions, accounts.c.uuid)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(among(dialect, sessions.c.session_id, "sessions"))
        .order_by(sessions.c.session_id)
        .with_for_update(of=sessions)
    )


@prepared
def _marked_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _MARKED)
    return (
        update(sessions)
        .where(sessions.c.session_id == given.c.session_id, sessions.c.account_id.is_not(None))
        .where(sessions.c.instance_url == given.c.url, sessions.c.epoch == given.c.epoch)
        .values(state=bindparam("marked_state"), updated_at=bindparam("marked_at", type_=UtcDateTime()))
    )

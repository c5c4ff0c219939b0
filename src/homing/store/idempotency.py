"""Idempotency keys: which gateway drives which keyed send, and the answer once there is one."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Update, and_, bindparam, delete, func, select, update

from homing.model.fleet import WorkspaceId
from homing.model.messages import StoredAnswer
from homing.ports import Claimed, InUse
from homing.store.columns import Number, Words, storable
from homing.store.database import Database, Dialect
from homing.store.rows import AnyRow, keyed_send_of
from homing.store.schema import idempotency_keys as keys
from homing.store.sql import as_rows, dialect_of, given_rows, insert


def claim(
    connection: Connection, database: Database, wanted: dict[str, Any], *, lease_s: float, keep_s: float
) -> Claimed | InUse:
    """Take the key, or say who has it. Two that claim at once meet at the row: the second waits for the first."""
    times = {"lease_until": database.instant(lease_s), "expires_at": database.instant(keep_s)}
    mine = (keys.c.workspace_id == wanted["workspace_id"], keys.c.key == wanted["key"])
    while True:
        fresh = insert(dialect_of(connection), keys).values(**wanted, **times).on_conflict_do_nothing()
        if connection.scalar(fresh.returning(keys.c.message_uuid)) is not None:
            return Claimed(wanted["message_uuid"], taken_over=False)
        held = select(keys, database.instant().label("now")).where(*mine).with_for_update()
        row = connection.execute(held).one_or_none()
        if row is not None:
            break
        # Released between the two statements: it is new again.
    takeable = _judged(row, wanted)
    if isinstance(takeable, Claimed):
        taken = {**wanted, **times, "message_uuid": takeable.message_uuid, "answer_status": None, "answer_body": None}
        connection.execute(update(keys).where(*mine).values(taken))
    return takeable


def _judged(row: AnyRow, wanted: dict[str, Any]) -> Claimed | InUse:
    held = keyed_send_of(row)
    driven = held.answer is None and row.now < held.lease_until
    if row.now >= held.expires_at and not driven:
        return Claimed(wanted["message_uuid"], taken_over=False)
    if driven or held.answer is not None or held.fingerprint != storable(wanted["fingerprint"]):
        return InUse(held)
    return Claimed(held.message_uuid, taken_over=True)


def renew(
    connection: Connection,
    owner: str,
    driven: Collection[tuple[WorkspaceId, str]],
    lease_until: ColumnElement[datetime],
) -> None:
    """Go on holding these keys, those of them that are still this owner's."""
    given = as_rows({"workspace_id": workspace, "key": key} for workspace, key in driven)
    statement = _renew_statement(dialect_of(connection)).values(lease_until=lease_until)
    connection.execute(statement, {"given": given, "holder": owner})


@cache
def _renew_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {"workspace_id": Number(), "key": Words()})
    return (
        update(keys)
        .where(keys.c.workspace_id == given.c.workspace_id, keys.c.key == given.c.key)
        .where(keys.c.owner == bindparam("holder", type_=Words()), keys.c.answer_status.is_(None))
    )


def answer(connection: Connection, workspace: WorkspaceId, key: str, owner: str, given: StoredAnswer) -> bool:
    """Store the answer, if the key is still this owner's."""
    statement = (
        update(keys)
        .where(_held_by(workspace, key, owner))
        .values(answer_status=given.status, answer_body=given.body)
        .returning(keys.c.key)
    )
    return connection.scalar(statement) is not None


def release(connection: Connection, workspace: WorkspaceId, key: str, owner: str) -> None:
    """Forget the key, if it is still this owner's and has no answer."""
    connection.execute(delete(keys).where(_held_by(workspace, key, owner), keys.c.answer_status.is_(None)))


def release_owner(connection: Connection, owner_prefix: str, now: ColumnElement[datetime]) -> None:
    """End the leases of all owners whose name begins so."""
    # Not LIKE, which on SQLite does not tell upper from lower case.
    begins_so = func.substr(keys.c.owner, 1, len(owner_prefix)) == owner_prefix
    connection.execute(
        update(keys).where(begins_so, keys.c.answer_status.is_(None), keys.c.lease_until > now).values(lease_until=now)
    )


def forget_expired(connection: Connection, now: ColumnElement[datetime], limit: int) -> int:
    """Delete keys whose time is over and that nobody drives; returns how many."""
    over = (
        select(keys.c.workspace_id, keys.c.key)
        .where(keys.c.expires_at <= now, keys.c.answer_status.is_not(None) | (keys.c.lease_until <= now))
        .limit(limit)
        .subquery("over")
    )
    matched = select(over).where(over.c.workspace_id == keys.c.workspace_id, over.c.key == keys.c.key).exists()
    statement: Delete = delete(keys).where(matched)
    return connection.execute(statement).rowcount


def _held_by(workspace: WorkspaceId, key: str, owner: str) -> ColumnElement[bool]:
    return and_(keys.c.workspace_id == workspace, keys.c.key == key, keys.c.owner == owner)

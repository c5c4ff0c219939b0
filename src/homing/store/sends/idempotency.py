"""Idempotency keys: which gateway drives which keyed send, and the answer once there is one."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    null,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeEngine

from homing.model.fleet import WorkspaceId
from homing.model.sends.messages import StoredAnswer
from homing.ports import Claimed, InUse
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow, keyed_send_of
from homing.store.db.schema.columns import BoundedInteger, Words, bounded, json_text, storable
from homing.store.db.schema.tables import idempotency_keys as keys
from homing.store.db.sql import as_rows, given_rows, insert, moment, moments


class WantedKey(NamedTuple):
    """A key that is asked for: for which message, by whom, until when it is his without renewal, and how long kept."""

    workspace_id: WorkspaceId
    key: str
    fingerprint: str
    message_uuid: str
    owner: str
    lease_s: float
    keep_s: float


class AnsweredKey(NamedTuple):
    """What is to be said again to whoever comes with the key, if it is still the owner's."""

    workspace_id: WorkspaceId
    key: str
    owner: str
    answer: StoredAnswer


def claim_new(connection: Connection, database: Database, wanted: Sequence[WantedKey]) -> list[bool]:
    """Take each key that nobody ever used, in one statement, which most requests need no more than.

    Of two that want the same one the first has it. The keys are taken in their own order, so that two gateways that
    want the same ones wait for each other in one direction only.
    """
    taken: set[str] = set()
    for (lease_s, keep_s), some in _by_times(wanted):
        times = moments(connection, database, held_for=lease_s, kept_for=keep_s)
        given = as_rows({name: getattr(each, name) for name in _WANTED} for each in sorted(some, key=_row_key))
        taken.update(connection.scalars(_fresh_statement(database.dialect), {"given": given, **times}))
    return [storable(each.message_uuid) in taken for each in wanted]


def _by_times(wanted: Iterable[WantedKey]) -> Iterable[tuple[tuple[float, float], list[WantedKey]]]:
    """All of one gateway have the same times."""
    found: dict[tuple[float, float], list[WantedKey]] = {}
    for each in wanted:
        found.setdefault((each.lease_s, each.keep_s), []).append(each)
    return found.items()


def claim(connection: Connection, database: Database, wanted: WantedKey) -> Claimed | InUse:
    """Take the key, or say who has it. Two that claim at once meet at the row: the second waits for the first."""
    dialect = database.dialect
    mine = _named_so(wanted)
    while True:
        if claim_new(connection, database, [wanted])[0]:
            return Claimed(wanted.message_uuid, taken_over=False)
        asked = {**mine, **moments(connection, database, clock=0.0)}
        row = connection.execute(_held_statement(dialect), asked).one_or_none()
        if row is not None:
            break
        # Released between the two statements: it is new again.
    takeable = _judged(row, wanted)
    if isinstance(takeable, Claimed):
        times = moments(connection, database, held_for=wanted.lease_s, kept_for=wanted.keep_s)
        taken_by = {f"its_{name}": getattr(wanted, name) for name in _GIVEN}
        given = {**mine, **taken_by, **times, "its_message_uuid": takeable.message_uuid}
        connection.execute(_taken_statement(dialect), given)
    return takeable


def _named_so(wanted: WantedKey) -> dict[str, Any]:
    return {"workspace": wanted.workspace_id, "name": wanted.key}


_GIVEN = ("fingerprint", "message_uuid", "owner")
_WANTED: dict[str, TypeEngine[Any]] = {
    "workspace_id": BoundedInteger(), "key": Words(), **dict.fromkeys(_GIVEN, Words())
}  # fmt: skip


@prepared
def _fresh_statement(dialect: Dialect) -> ReturningInsert[Any]:
    given = given_rows(dialect, "given", _WANTED)
    until = [moment(dialect, "held_for"), moment(dialect, "kept_for")]
    # Without a WHERE, SQLite takes ON CONFLICT for a join's.
    rows = select(*(given.c[name] for name in _WANTED), *until).where(true())
    fresh = insert(dialect, keys).from_select([*_WANTED, "lease_until", "expires_at"], rows)
    return fresh.on_conflict_do_nothing().returning(keys.c.message_uuid)


@prepared
def _held_statement(dialect: Dialect) -> Select[Any]:
    return select(keys, moment(dialect, "clock").label("now")).where(_named()).with_for_update()


@prepared
def _taken_statement(dialect: Dialect) -> Update:
    unanswered = {"answer_status": null(), "answer_body": null()}
    return update(keys).where(_named()).values({**_claimed(dialect), **unanswered})


def _claimed(dialect: Dialect) -> dict[str, ColumnElement[Any]]:
    """Whose the key is, and until when."""
    given = {name: bindparam(f"its_{name}", type_=Words()) for name in _GIVEN}
    return {**given, "lease_until": moment(dialect, "held_for"), "expires_at": moment(dialect, "kept_for")}


def _named() -> ColumnElement[bool]:
    named = bindparam("name", type_=Words())
    return and_(keys.c.workspace_id == bindparam("workspace", type_=BoundedInteger()), keys.c.key == named)


def _judged(row: AnyRow, wanted: WantedKey) -> Claimed | InUse:
    held = keyed_send_of(row)
    if held.answer is None and (held.owner, held.message_uuid) == (wanted.owner, wanted.message_uuid):
        # Ours already: the answer to our first asking was lost.
        return Claimed(held.message_uuid, taken_over=False)
    driven = held.answer is None and row.now < held.lease_until
    if row.now >= held.expires_at and not driven:
        return Claimed(wanted.message_uuid, taken_over=False)
    if driven or held.answer is not None or held.fingerprint != storable(wanted.fingerprint):
        return InUse(held)
    return Claimed(held.message_uuid, taken_over=True)


def renew(
    connection: Connection, database: Database, owner: str, driven: Collection[tuple[WorkspaceId, str]], lease_s: float
) -> None:
    """Go on holding these keys, those of them that are still this owner's."""
    given = as_rows({"workspace_id": workspace, "key": key} for workspace, key in driven)
    times = moments(connection, database, held_for=lease_s)
    connection.execute(_renew_statement(database.dialect), {"given": given, "holder": owner, **times})


@prepared
def _renew_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {"workspace_id": BoundedInteger(), "key": Words()})
    return (
        update(keys)
        .where(keys.c.workspace_id == given.c.workspace_id, keys.c.key == given.c.key)
        .where(keys.c.owner == bindparam("holder", type_=Words()), keys.c.answer_status.is_(None))
        .values(lease_until=moment(dialect, "held_for"))
    )


def answer(connection: Connection, dialect: Dialect, answered: Sequence[AnsweredKey]) -> list[bool]:
    """Store each answer, if its key is still the owner's, in one statement; of two answers for one key the first."""
    given = {_row_key(each): each for each in reversed(answered)}
    rows = as_rows(
        {"workspace_id": each.workspace_id, "key": each.key, "owner": each.owner, **_stored(each.answer)}
        for _, each in sorted(given.items(), key=lambda item: item[0])
    )
    stored = {(row.workspace_id, row.key) for row in connection.execute(_answer_statement(dialect), {"given": rows})}
    return [_row_key(each) in stored and given[_row_key(each)] is each for each in answered]


def _row_key(each: WantedKey | AnsweredKey) -> tuple[int, str]:
    return bounded(each.workspace_id), storable(each.key)


def _stored(answer: StoredAnswer) -> dict[str, Any]:
    return {"status": answer.status, "body": json_text(answer.body)}


_ANSWERED: dict[str, TypeEngine[Any]] = {
    "workspace_id": BoundedInteger(), "key": Words(), "owner": Words(), "status": Integer(), "body": Words()
}  # fmt: skip


@prepared
def _answer_statement(dialect: Dialect) -> ReturningUpdate[Any]:
    given = given_rows(dialect, "given", _ANSWERED)
    return (
        update(keys)
        .where(keys.c.workspace_id == given.c.workspace_id, keys.c.key == given.c.key, keys.c.owner == given.c.owner)
        .values(answer_status=given.c.status, answer_body=given.c.body)
        .returning(keys.c.workspace_id, keys.c.key)
    )


def release(connection: Connection, workspace: WorkspaceId, key: str, owner: str, message_uuid: str) -> None:
    """Forget the key, if it is still this owner's, for this message, and has no answer."""
    held = {"workspace": workspace, "name": key, "holder": owner, "message": message_uuid}
    connection.execute(_release_statement(), held)


@prepared
def _release_statement() -> Delete:
    this = keys.c.message_uuid == bindparam("message", type_=Words())
    return delete(keys).where(_held(), this, keys.c.answer_status.is_(None))


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


def _held() -> ColumnElement[bool]:
    return and_(_named(), keys.c.owner == bindparam("holder", type_=Words()))

"""Where sessions live, and how that record changes."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    Update,
    bindparam,
    case,
    exists,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.types import TypeEngine

from homing.model.fleet import (
    AccountUuid,
    Epoch,
    Move,
    MoveKind,
    PlacementState,
    Rebinding,
    SessionId,
    SessionStatus,
    WorkspaceId,
)
from homing.model.instances.vault import Vouched
from homing.ports import AccountChanged, Notice, Page, PlacementChanged
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS, move_of
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime
from homing.store.db.schema.tables import accounts, credentials, moves, sessions
from homing.store.db.sql import among, as_rows, chunks, dialect_of, given_rows, moment, moments
from homing.store.records.recording import record, record_all

_CHUNK = 1_000

IN_VAULT = or_(
    credentials.c.holder_incarnation != "",
    credentials.c.holder_url.is_(None) & credentials.c.login.is_not(None),
)
"""Whether an engine that opens the vault has the session, or had it last: not one that keeps logins on a disk."""


@dataclass(frozen=True, slots=True)
class Rebound:
    """One applied change, with the account it concerns."""

    change: Rebinding
    account_id: int
    account_uuid: AccountUuid
    workspace_id: WorkspaceId

    @property
    def notice(self) -> PlacementChanged:
        change = self.change
        return PlacementChanged(
            change.session_id, self.account_uuid, change.epoch, change.expected.instance_url, change.instance_url
        )

    def move_row(self, at: datetime, run_id: str | None) -> dict[str, Any]:
        return {
            "kind": self.change.kind,
            "session_id": self.change.session_id,
            "account_id": self.account_id,
            "workspace_id": self.workspace_id,
            "from_url": self.change.expected.instance_url,
            "to_url": self.change.instance_url,
            "epoch": self.change.epoch,
            "reason": self.change.reason,
            "at": at,
            "run_id": run_id,
        }


def rebind(
    connection: Connection,
    changes: Sequence[Rebinding],
    *,
    at: datetime,
    run_id: str | None,
    trace_id: str | None = None,
) -> list[Rebound]:
    """Apply each change whose expected record still stands, and log it as a move; returns those, in the given order."""
    applied = [
        rebound for turn in _turns(changes) for part in chunks(turn, _CHUNK) for rebound in apply(connection, part, at)
    ]
    places = {id(change): place for place, change in enumerate(changes)}
    applied.sort(key=lambda rebound: places[id(rebound.change)])
    if applied:
        rows = [{**rebound.move_row(at, run_id), "trace_id": trace_id} for rebound in applied]
        connection.execute(plain_insert(moves), rows)
        _record(connection, applied)
    return applied


def _record(connection: Connection, applied: Sequence[Rebound]) -> None:
    """By somebody's act. What a gateway corrects by itself is in the log of moves alone."""
    if len(applied) > 1:
        reasons = dict(Counter(rebound.change.kind.value for rebound in applied))
        record_all(connection, "session.placed", "session", [each.change.session_id for each in applied], after=reasons)
        return
    [rebound] = applied
    was, change = rebound.change.expected, rebound.change
    before = {"instance_url": was.instance_url, "epoch": was.epoch}
    after = {"instance_url": change.instance_url, "epoch": change.epoch, "reason": change.reason}
    record(connection, "session.placed", f"session {change.session_id}", before=before, after=after)


def apply(connection: Connection, part: Sequence[Rebinding], at: datetime) -> list[Rebound]:
    """Apply each change whose expected record still stands. No session is named twice; what is not logged is yours."""
    dialect = dialect_of(connection)
    given = as_rows(_guarded_row(change) for change in part)
    held = connection.execute(_rebind_statement(dialect), {"given": given, "changed_at": at}).scalars().all()
    if not held:
        return []
    owners = {row.session_id: row for row in connection.execute(_owners_statement(dialect), {"sessions": held})}
    return [
        Rebound(change, row.id, AccountUuid(row.uuid), WorkspaceId(row.workspace_id))
        for change in part
        if (row := owners.get(change.session_id)) is not None
    ]


def mark_verified(
    connection: Connection, database: Database, verified: Collection[SessionId], at: datetime, ready_ago_s: float | None
) -> None:
    """These sessions were seen where the record says. An earlier look never overwrites a later one.

    Given `ready_ago_s`, they were able to send so many seconds ago.
    """
    seen = {"sessions": list(verified), "seen_at": at}
    if ready_ago_s is not None:
        seen |= moments(connection, database, ready_s=-ready_ago_s)
    connection.execute(_verified_statement(database.dialect, ready=ready_ago_s is not None), seen)


def status_of(connection: Connection, session_id: SessionId) -> SessionStatus | None:
    found = connection.scalar(_status_statement(), {"session": session_id})
    return None if found is None else SessionStatus(found)


def set_status(
    connection: Connection,
    database: Database,
    session_id: SessionId,
    status: SessionStatus,
    at: datetime,
    *,
    ready: bool,
) -> list[Notice]:
    """Record what a gateway says of the session; `ready`: and that it is able to send.

    Routes hear of it only if it changes whether one can be used.
    """
    row = connection.execute(_status_locked_statement(), {"session": session_id}).one_or_none()
    if row is None or row.status == status:
        return []
    known = {"session": session_id, "known": status, "known_at": at}
    if ready:
        known |= moments(connection, database, ready_s=0.0)
    connection.execute(_status_set_statement(database.dialect, ready=ready), known)
    concerns_routes = not (status.should_run and SessionStatus(row.status).should_run)
    return [AccountChanged(account_uuid=AccountUuid(row.uuid))] if concerns_routes else []


@prepared
def _status_statement() -> Select[Any]:
    return select(sessions.c.status).where(sessions.c.session_id == bindparam("session"))


@prepared
def _status_locked_statement() -> Select[Any]:
    return (
        select(sessions.c.status, accounts.c.uuid)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(sessions.c.session_id == bindparam("session"))
        .with_for_update(of=sessions)
    )


@prepared
def _status_set_statement(dialect: Dialect, *, ready: bool) -> Update:
    known: dict[str, Any] = {
        "status": bindparam("known"),
        "updated_at": bindparam("known_at", type_=UtcDateTime()),
    }
    if ready:
        known["ready_at"] = _later_ready(moment(dialect, "ready_s"))
    return update(sessions).where(sessions.c.session_id == bindparam("session")).values(known)


def moves_page(
    connection: Connection,
    workspace: WorkspaceId | None,
    page: Page,
    *,
    session_id: SessionId | None,
    kind: MoveKind | None,
) -> list[Move]:
    """A page of the log of moves, newest first."""
    statement = select(moves).order_by(moves.c.id.desc()).limit(page.limit)
    if page.after:
        statement = statement.where(moves.c.id < page.after)
    if workspace is not None:
        statement = statement.where(moves.c.workspace_id == workspace)
    if session_id is not None:
        statement = statement.where(moves.c.session_id == session_id)
    if kind is not None:
        statement = statement.where(moves.c.kind == kind)
    return [move_of(row) for row in connection.execute(statement)]


def _turns(changes: Iterable[Rebinding]) -> list[list[Rebinding]]:
    """The changes in lists that name no session twice: a second change of one session must find the first one done."""
    turns: list[list[Rebinding]] = []
    seen: dict[SessionId, int] = {}
    for change in changes:
        turn = seen.get(change.session_id, -1) + 1
        seen[change.session_id] = turn
        if turn == len(turns):
            turns.append([])
        turns[turn].append(change)
    # In one order everywhere, so that two gateways with the same batch seldom deadlock.
    return [sorted(turn, key=lambda change: change.session_id) for turn in turns]


def _guarded_row(change: Rebinding) -> dict[str, str | int | None]:
    return {
        "session_id": change.session_id,
        "expected_url": change.expected.instance_url,
        "expected_epoch": change.expected.epoch,
        "expected_state": change.expected.state,
        "url": change.instance_url,
        "epoch": change.epoch,
        "state": change.state,
        "seen": int(change.kind is not MoveKind.PLACEMENT),
        "claimed": int(change.claimed),
    }


_GIVEN: dict[str, TypeEngine[Any]] = {
    "session_id": Text(),
    "expected_url": Text(),
    "expected_epoch": BoundedInteger(),
    "expected_state": Text(),
    "url": Text(),
    "epoch": BoundedInteger(),
    "state": Text(),
    "seen": BoundedInteger(),
    "claimed": BoundedInteger(),
}


@prepared
def _rebind_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _GIVEN)
    now_held = given.c.state == PlacementState.HELD.value
    # Where a session was told to start it is not yet seen: that takes a look at the instance's list.
    seen_there = now_held & (given.c.seen == 1)
    changed_at = bindparam("changed_at", type_=UtcDateTime())
    return (
        update(sessions)
        .where(sessions.c.session_id == given.c.session_id)
        .where(sessions.c.account_id.is_not(None))
        .where(sessions.c.instance_url.is_not_distinct_from(given.c.expected_url))
        .where(sessions.c.epoch == given.c.expected_epoch)
        .where(sessions.c.state == given.c.expected_state)
        .where(given.c.epoch >= sessions.c.epoch)
        .where(or_(given.c.claimed == 0, not_(_refuted(given))))
        .values(
            instance_url=given.c.url,
            epoch=given.c.epoch,
            state=given.c.state,
            status=case((now_held, SessionStatus.CONNECTED.value), else_=sessions.c.status),
            last_verified_at=case((seen_there, changed_at), else_=sessions.c.last_verified_at),
            ready_at=case((seen_there, changed_at), else_=sessions.c.ready_at),
            started_on=null(),
            updated_at=changed_at,
        )
        .returning(sessions.c.session_id)
    )


def _refuted(given: FromClause) -> ColumnElement[bool]:
    """Whether the vault knows better than the instance whose word a change rests on."""
    elsewhere = credentials.c.holder_url.is_not(None) & (credentials.c.holder_url != given.c.url)
    other = or_(credentials.c.epoch != given.c.epoch, elsewhere)
    return exists().where(credentials.c.session_id == given.c.session_id, IN_VAULT, other)


def vouched(connection: Connection, asked: Collection[SessionId]) -> dict[SessionId, Vouched]:
    """What the vault says of those of these sessions whose logins are in it."""
    rows = connection.execute(_vouched_statement(dialect_of(connection)), {"sessions": list(asked)})
    return {SessionId(row.session_id): Vouched(Epoch(row.epoch), row.holder_url) for row in rows}


@prepared
def _vouched_statement(dialect: Dialect) -> Select[Any]:
    columns = (credentials.c.session_id, credentials.c.epoch, credentials.c.holder_url)
    return select(*columns).where(among(dialect, credentials.c.session_id, "sessions"), IN_VAULT)


@prepared
def _owners_statement(dialect: Dialect) -> Select[Any]:
    columns = (sessions.c.session_id, accounts.c.id, accounts.c.uuid, accounts.c.workspace_id)
    return select(*columns).select_from(ACCOUNTS_WITH_SESSIONS).where(among(dialect, sessions.c.session_id, "sessions"))


@prepared
def _verified_statement(dialect: Dialect, *, ready: bool) -> Update:
    seen_at = bindparam("seen_at", type_=UtcDateTime())
    older = or_(sessions.c.last_verified_at.is_(null()), sessions.c.last_verified_at < seen_at)
    known: dict[str, Any] = {"last_verified_at": seen_at}
    if ready:
        known["ready_at"] = _later_ready(moment(dialect, "ready_s"))
    return update(sessions).where(among(dialect, sessions.c.session_id, "sessions"), older).values(known)


def _later_ready(at: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((or_(sessions.c.ready_at.is_(null()), sessions.c.ready_at < at), at), else_=sessions.c.ready_at)

"""Handing out to an instance the sessions that it is to restore; what was handed out, and what else is recorded."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, Update, bindparam, literal_column, or_, select, update
from sqlalchemy.types import TypeEngine

from homing.model.fleet import Account, InstanceUrl, SessionId, SessionStatus, WorkspaceId
from homing.model.instances.restoring import Offered, Recorded
from homing.ports import Notice, RosterChanged
from homing.store.db.database import Database, Dialect
from homing.store.db.many_rows import in_turns
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNT_COLUMNS, ACCOUNTS_WITH_SESSIONS, AnyRow, account_of, placement_of
from homing.store.db.schema.columns import BoundedInteger
from homing.store.db.schema.tables import accounts, credentials, instances, sessions
from homing.store.db.sql import among, as_rows, dialect_of, given_rows, moment, moments
from homing.store.directory.placement_reads import RUNNING

_OFFERED: dict[str, TypeEngine[Any]] = {"session_id": Text(), "place": BoundedInteger()}


def hand_out(connection: Connection, database: Database, url: InstanceUrl) -> tuple[list[Account], list[Notice]]:
    """What the process at this address is to restore, each noted with its place; and whom to tell.

    The rows are locked: a session that somebody marks moving meanwhile is either given away before, and the mark's
    owner finds it so, or not given away at all.
    """
    found = connection.execute(_wanted_statement(), {"url": url})
    wanted = sorted((account_of(row) for row in found), key=lambda account: account.id)
    given = as_rows(_offered_row(account, place) for place, account in enumerate(wanted, start=1))
    told = {"given": given, "to": url, **moments(connection, database, now_s=0.0)}
    if wanted:
        connection.execute(_offered_statement(dialect_of(connection)), told)
    return wanted, came_back(connection, url)


def came_back(connection: Connection, url: InstanceUrl) -> list[Notice]:
    """A process of the instance was heard of: it is not as if none ran any more."""
    return [RosterChanged()] if connection.execute(_heard_statement(), {"at": url}).rowcount else []


def recorded(
    connection: Connection, database: Database, urls: Collection[InstanceUrl], asked: Collection[SessionId]
) -> list[Recorded]:
    """What is recorded of these sessions, and of those meant to run on these instances."""
    wanted = {"urls": list(urls), "sessions": list(asked)}
    rows = connection.execute(_recorded_statement(database.dialect), wanted)
    now = database.now(connection)
    return [_recorded(row, now) for row in in_turns(rows)]


def _recorded(row: AnyRow, now: datetime) -> Recorded:
    seen = [at for at in (row.last_verified_at, row.ready_at) if at is not None]
    return Recorded(
        session_id=SessionId(row.session_id),
        account_id=row.account,
        workspace_id=WorkspaceId(row.workspace_id),
        placement=placement_of(row),
        status=SessionStatus(row.status),
        seen_ago_s=_ago_s(max(seen), now) if seen else None,
        started_ago_s=None if row.started_at is None else _ago_s(row.started_at, now),
        offered=_offered(row, now),
        in_vault=row.vault is not None,
    )


def _offered(row: AnyRow, now: datetime) -> Offered | None:
    if row.offered_to is None or row.offered_at is None:
        return None
    return Offered(InstanceUrl(row.offered_to), _ago_s(row.offered_at, now), row.offered_place or 1)


def _ago_s(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())


def _offered_row(account: Account, place: int) -> dict[str, str | int | None]:
    return {"session_id": account.session_id, "place": place}


@prepared
def _wanted_statement() -> Select[Any]:
    held = sessions.c.state == literal_column("'held'")
    return (
        select(*ACCOUNT_COLUMNS)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(sessions.c.instance_url == bindparam("url", type_=Text()), held, RUNNING)
        .order_by(sessions.c.session_id)
        .with_for_update(of=sessions)
    )


@prepared
def _offered_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _OFFERED)
    return (
        update(sessions)
        .where(sessions.c.session_id == given.c.session_id)
        .values(
            offered_to=bindparam("to", type_=Text()),
            offered_at=moment(dialect, "now_s"),
            offered_place=given.c.place,
        )
    )


@prepared
def _recorded_statement(dialect: Dialect) -> Select[Any]:
    on_them = among(dialect, sessions.c.instance_url, "urls") & RUNNING
    owner = (accounts.c.id.label("account"), accounts.c.workspace_id, credentials.c.session_id.label("vault"))
    return (
        select(sessions, *owner)
        .select_from(ACCOUNTS_WITH_SESSIONS.outerjoin(credentials, credentials.c.session_id == sessions.c.session_id))
        .where(or_(on_them, among(dialect, sessions.c.session_id, "sessions")))
        .order_by(accounts.c.id)
    )


@prepared
def _heard_statement() -> Update:
    exited = (instances.c.url == bindparam("at", type_=Text())) & instances.c.exited_at.is_not(None)
    return update(instances).where(exited).values(exited_at=None)

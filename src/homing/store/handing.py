"""Handing out to an instance the sessions that it is to restore, and remembering what was handed out to whom."""

from typing import Any

from sqlalchemy import Connection, Select, Text, Update, bindparam, literal_column, select, update
from sqlalchemy.types import TypeEngine

from homing.model.fleet import Account, InstanceUrl
from homing.ports import Notice, RosterChanged
from homing.store.columns import Number
from homing.store.database import Database, Dialect
from homing.store.placed import RUNNING
from homing.store.prepared import prepared
from homing.store.rows import ACCOUNT_COLUMNS, ACCOUNTS_WITH_SESSIONS, account_of
from homing.store.schema import instances, sessions
from homing.store.sql import as_rows, dialect_of, given_rows, moment, moments

_OFFERED: dict[str, TypeEngine[Any]] = {"session_id": Text(), "place": Number()}


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
def _heard_statement() -> Update:
    exited = (instances.c.url == bindparam("at", type_=Text())) & instances.c.exited_at.is_not(None)
    return update(instances).where(exited).values(exited_at=None)

"""The reads that a send waits for. Each is one SELECT."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.sql.selectable import CompoundSelect

from homing.model.fleet import AccountUuid, ContactUuid, InstanceUrl, Route, SessionId
from homing.ports import Lookup
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import (
    ACCOUNTS_WITH_SESSIONS,
    LINKING_COLUMNS,
    ROUTE_COLUMNS,
    AnyRow,
    contact_of,
    judged_route_of,
    route_of,
)
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.outbox import pacing
from homing.store.db.schema.tables import accounts, contacts, sessions
from homing.store.db.sql import among, dialect_of

_ROUTE, _CONTACT = 1, 2
_SESSION_COLUMNS = (
    sessions.c.session_id,
    sessions.c.instance_url,
    sessions.c.epoch,
    sessions.c.state,
    sessions.c.status,
    sessions.c.mismatched_phone,
)


def lookup(
    connection: Connection,
    asked_accounts: Collection[AccountUuid],
    asked_contacts: Collection[ContactUuid],
    *,
    neighbours: int,
) -> Lookup:
    """The routes and contacts asked for, with some further contacts of the same workspaces."""
    statement = _lookup_statement(dialect_of(connection), with_neighbours=neighbours > 0)
    asked = {"accounts": list(asked_accounts), "contacts": list(asked_contacts), "neighbours": neighbours}
    rows = connection.execute(statement, asked).all()
    return Lookup(
        routes={AccountUuid(row.uuid): _paced(row) for row in rows if row.part == _ROUTE},
        contacts={ContactUuid(row.uuid): contact_of(row) for row in rows if row.part == _CONTACT},
    )


def _paced(row: AnyRow) -> Route:
    """With whether a pace is set for it: a send asks no further where none is."""
    return replace(route_of(row), paced=bool(row.paced))


def routes(
    connection: Connection, *, asked_sessions: Collection[SessionId], instances: Collection[InstanceUrl]
) -> list[Route]:
    """The routes of these sessions and of all that is placed on these instances."""
    asked = {"sessions": list(asked_sessions), "instances": list(instances)}
    return [judged_route_of(row) for row in connection.execute(_routes_statement(dialect_of(connection)), asked)]


def route_of_session(connection: Connection, session_id: SessionId) -> Route | None:
    row = connection.execute(_ROUTE_OF_SESSION, {"session_id": session_id}).one_or_none()
    return None if row is None else judged_route_of(row)


_ROUTE_OF_SESSION = (
    select(*ROUTE_COLUMNS, *LINKING_COLUMNS)
    .select_from(ACCOUNTS_WITH_SESSIONS)
    .where(sessions.c.session_id == bindparam("session_id", type_=sessions.c.session_id.type))
)


@prepared
def _routes_statement(dialect: Dialect) -> Select[Any]:
    asked = or_(among(dialect, sessions.c.session_id, "sessions"), among(dialect, sessions.c.instance_url, "instances"))
    columns = (*ROUTE_COLUMNS, *LINKING_COLUMNS)
    return select(*columns).select_from(ACCOUNTS_WITH_SESSIONS).where(asked).order_by(accounts.c.id)


@prepared
def _lookup_statement(dialect: Dialect, *, with_neighbours: bool) -> CompoundSelect[Any]:
    parts = [_route_rows(dialect), _contact_rows().where(among(dialect, contacts.c.uuid, "contacts"))]
    if with_neighbours:
        parts.append(_neighbour_rows(dialect))
    return union_all(*parts)


def _route_rows(dialect: Dialect) -> Select[Any]:
    own_or_its_workspaces = and_(
        pacing.c.workspace_id == accounts.c.workspace_id,
        or_(pacing.c.account_uuid == accounts.c.uuid, pacing.c.account_uuid == literal_column("''")),
    )
    absent = (
        null().label("name"),
        type_coerce(null(), UtcDateTime()).label("created_at"),
        null().label("phone_as_written"),
        exists(select(literal(1)).where(own_or_its_workspaces)).label("paced"),
    )
    rows = select(literal(_ROUTE, Integer()).label("part"), *ROUTE_COLUMNS, *absent)
    return rows.select_from(ACCOUNTS_WITH_SESSIONS).where(among(dialect, accounts.c.uuid, "accounts"))


def _contact_rows() -> Select[Any]:
    own = (contacts.c.id, contacts.c.uuid, contacts.c.workspace_id, contacts.c.phone)
    absent = [cast(null(), column.type).label(column.name) for column in _SESSION_COLUMNS]
    unpaced = cast(null(), Boolean()).label("paced")
    rest = (contacts.c.name, contacts.c.created_at, contacts.c.phone_as_written, unpaced)
    return select(literal(_CONTACT, Integer()).label("part"), *own, *absent, *rest)


def _neighbour_rows(dialect: Dialect) -> Select[Any]:
    """Contacts of the same workspaces: those that follow the asked ones first, and then from the beginning.

    So a campaign that walks an address book finds the next page where the last one ended, and one that jumps about
    in a small book has it whole after one read.
    """
    first_asked = func.coalesce(
        select(func.min(contacts.c.id)).where(among(dialect, contacts.c.uuid, "contacts")).scalar_subquery(), 0
    )
    following = _some_contacts(dialect, contacts.c.id > first_asked, "following")
    earlier = _some_contacts(dialect, contacts.c.id < first_asked, "earlier")
    either = union_all(
        select(literal(0).label("turn"), following), select(literal(1).label("turn"), earlier)
    ).subquery()
    chosen = select(either).order_by(either.c.turn, either.c.id).limit(bindparam("neighbours")).subquery("neighbours")
    return select(*[column for column in chosen.c if column.name != "turn"])


def _some_contacts(dialect: Dialect, which: ColumnElement[bool], name: str) -> Any:
    workspaces = (
        select(accounts.c.workspace_id)
        .where(among(dialect, accounts.c.uuid, "accounts"))
        .union(select(contacts.c.workspace_id).where(among(dialect, contacts.c.uuid, "contacts")))
    )
    rows = _contact_rows().where(contacts.c.workspace_id.in_(workspaces), which)
    return rows.order_by(contacts.c.id).limit(bindparam("neighbours")).subquery(name)

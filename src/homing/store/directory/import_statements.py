"""The statements of an import: each takes a batch as one parameter, and is built once."""

from typing import Any

from sqlalchemy import (
    CompoundSelect,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    func,
    literal_column,
    null,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate, Update
from sqlalchemy.types import TypeEngine

from homing.model.fleet import NEVER_GRANTED, PlacementState
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime
from homing.store.db.schema.tables import accounts, contacts, sessions
from homing.store.db.sql import among, given_rows, insert

_COMMON: dict[str, TypeEngine[Any]] = {
    "id": BoundedInteger(),
    "uuid": Text(),
    "workspace_id": BoundedInteger(),
    "phone": Text(),
    "name": Text(),
    "person": Text(),
}
_ONLY: dict[str, dict[str, TypeEngine[Any]]] = {
    "contacts": {"phone_as_written": Text()},
    "accounts": {"takeover": Text()},
}
_CHANGED: dict[str, TypeEngine[Any]] = {
    "id": BoundedInteger(),
    "phone": Text(),
    "name": Text(),
    "person": Text(),
    "phone_as_written": Text(),
}


@prepared
def insert_statement(dialect: Dialect, name: str, *, numbered: bool) -> ReturningInsert[Any]:
    table = contacts if name == "contacts" else accounts
    columns = _COMMON | _ONLY[name]
    given = given_rows(dialect, "given", {"place": BoundedInteger(), **columns})
    into = [column for column in columns if numbered or column != "id"]
    chosen = (
        select(*(given.c[column] for column in into), bindparam("at", type_=UtcDateTime()))
        .where(true())
        .order_by(given.c.place)
    )
    return (
        insert(dialect, table).from_select([*into, "created_at"], chosen).on_conflict_do_nothing().returning(table.c.id)
    )


_SPELT: dict[str, TypeEngine[Any]] = {"workspace_id": BoundedInteger(), "spelling": Text()}


@prepared
def contacts_statement(dialect: Dialect) -> CompoundSelect[Any]:
    columns = [contacts.c[name] for name in ("id", "uuid", "workspace_id", "phone", "person", "name")]
    return union_all(*_alike_selects(dialect, contacts, select(*columns).select_from(contacts)))


@prepared
def accounts_statement(dialect: Dialect) -> CompoundSelect[Any]:
    own = [accounts.c[name] for name in ("id", "uuid", "workspace_id", "phone", "person", "name")]
    placed = [sessions.c[name] for name in ("session_id", "instance_url", "epoch", "state", "last_verified_at")]
    wanted = select(*own, *placed).select_from(ACCOUNTS_WITH_SESSIONS)
    by_session = wanted.where(among(dialect, sessions.c.session_id, "sessions"))
    return union_all(*_alike_selects(dialect, accounts, wanted), by_session)


def _alike_selects(dialect: Dialect, table: Table, wanted: Select[Any]) -> list[Select[Any]]:
    """Each by an index of its own: all at once would be looked for by reading the whole table."""
    spelt = given_rows(dialect, "spelt", _SPELT)
    same_workspace = table.c.workspace_id == spelt.c.workspace_id
    return [
        wanted.where(among(dialect, table.c.uuid, "uuids")),
        wanted.join(spelt, same_workspace & (table.c.person == spelt.c.spelling)),
        wanted.join(spelt, same_workspace & (table.c.phone == spelt.c.spelling)),
    ]


def _follows(table: Table, given: FromClause, name: str) -> Any:
    return func.coalesce(given.c[name], table.c[name])


@prepared
def contacts_changed_statement(dialect: Dialect) -> ReturningUpdate[Any]:
    given = given_rows(dialect, "given", _CHANGED)
    told = {name: _follows(contacts, given, name) for name in ("name", "phone", "person", "phone_as_written")}
    return update(contacts).where(contacts.c.id == given.c.id).values(told).returning(contacts.c.id)


@prepared
def accounts_changed_statement(dialect: Dialect) -> ReturningUpdate[Any]:
    given = given_rows(dialect, "given", _CHANGED)
    told = {name: _follows(accounts, given, name) for name in ("name", "phone", "person")}
    return update(accounts).where(accounts.c.id == given.c.id).values(told).returning(accounts.c.id)


@prepared
def sessions_statement(dialect: Dialect) -> ReturningInsert[Any]:
    """One that belongs to nobody is taken up, whosever it was: whoever imports is an operator."""
    given = given_rows(dialect, "given", {"uuid": Text(), "session_id": Text(), "status": Text()})
    at = bindparam("at", type_=UtcDateTime())
    chosen = (
        select(
            given.c.session_id,
            accounts.c.id,
            literal_column(str(int(NEVER_GRANTED))),
            literal_column(f"'{PlacementState.HELD.value}'"),
            given.c.status,
            at,
        )
        .select_from(given.join(accounts, accounts.c.uuid == given.c.uuid))
        .where(true())
    )
    names = ["session_id", "account_id", "epoch", "state", "status", "updated_at"]
    fresh = insert(dialect, sessions).from_select(names, chosen)
    again = {
        "account_id": fresh.excluded.account_id,
        "status": fresh.excluded.status,
        "updated_at": fresh.excluded.updated_at,
        "former_workspace_id": null(),
        "mismatched_phone": null(),
    }
    free = sessions.c.account_id.is_(None)
    taken = fresh.on_conflict_do_update(index_elements=[sessions.c.session_id], set_=again, where=free)
    return taken.returning(sessions.c.session_id, sessions.c.epoch)


@prepared
def statuses_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {"session_id": Text(), "status": Text()})
    return update(sessions).where(sessions.c.session_id == given.c.session_id).values(status=given.c.status)

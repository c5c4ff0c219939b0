"""Whose session is it that an instance reports of?"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, select

from homing.model.fleet import Account, SessionId
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNT_COLUMNS, ACCOUNTS_WITH_SESSIONS, account_of
from homing.store.db.schema.tables import accounts, sessions
from homing.store.db.sql import among, dialect_of


def accounts_of(connection: Connection, asked: Collection[SessionId]) -> list[Account]:
    """The accounts of these sessions, by number."""
    rows = connection.execute(_accounts_statement(dialect_of(connection)), {"sessions": list(asked)})
    return [account_of(row) for row in rows]


def accounts_of_persons(connection: Connection, asked: Collection[str]) -> list[Account]:
    """The accounts with these persons' phones, by number."""
    rows = connection.execute(_persons_statement(dialect_of(connection)), {"persons": list(asked)})
    return [account_of(row) for row in rows]


@prepared
def _persons_statement(dialect: Dialect) -> Select[Any]:
    whose = among(dialect, accounts.c.person, "persons")
    return select(*ACCOUNT_COLUMNS).select_from(ACCOUNTS_WITH_SESSIONS).where(whose).order_by(accounts.c.id)


@prepared
def _accounts_statement(dialect: Dialect) -> Select[Any]:
    return (
        select(*ACCOUNT_COLUMNS)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(among(dialect, sessions.c.session_id, "sessions"))
        .order_by(accounts.c.id)
    )

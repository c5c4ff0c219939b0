"""Whose session is it that an instance reports of?"""

from collections.abc import Collection

from sqlalchemy import Connection, select

from homing.model.fleet import Account, SessionId
from homing.store.rows import ACCOUNT_COLUMNS, ACCOUNTS_WITH_SESSIONS, account_of
from homing.store.schema import accounts, sessions
from homing.store.sql import among, dialect_of


def accounts_of(connection: Connection, asked: Collection[SessionId]) -> list[Account]:
    """The accounts of these sessions, by number."""
    statement = (
        select(*ACCOUNT_COLUMNS)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(among(dialect_of(connection), sessions.c.session_id, "sessions"))
        .order_by(accounts.c.id)
    )
    return [account_of(row) for row in connection.execute(statement, {"sessions": list(asked)})]

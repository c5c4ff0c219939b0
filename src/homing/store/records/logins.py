"""Who is signed in to the page, on a SQL database."""

from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select

from homing.ports.directory.logins import LoginKind
from homing.store.db.database import Database
from homing.store.db.schema.tables import logins


class SqlLogins:
    """`ports.logins.Logins` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, secret_hash: str, kind: LoginKind, key_id: str, *, for_s: float) -> None:
        def added(connection: Connection) -> None:
            now = self._database.now(connection)
            connection.execute(delete(logins).where(logins.c.expires_at <= now))
            row = {"secret_hash": secret_hash, "kind": kind.value, "key_id": key_id}
            connection.execute(insert(logins).values(**row, expires_at=now + timedelta(seconds=for_s)))

        await self._database.write(added)

    async def find(self, secret_hash: str, kind: LoginKind) -> tuple[str, float] | None:
        def found(connection: Connection) -> tuple[str, float] | None:
            now = self._database.now(connection)
            named = (logins.c.secret_hash == secret_hash) & (logins.c.kind == kind.value) & (logins.c.expires_at > now)
            row = connection.execute(select(logins.c.key_id, logins.c.expires_at).where(named)).one_or_none()
            return (row.key_id, (row.expires_at - now).total_seconds()) if row is not None else None

        return await self._database.read(found)

    async def take(self, secret_hash: str, kind: LoginKind) -> str | None:
        def taken(connection: Connection) -> str | None:
            now = self._database.now(connection)
            named = (logins.c.secret_hash == secret_hash) & (logins.c.kind == kind.value)
            gone = delete(logins).where(named).returning(logins.c.key_id, logins.c.expires_at)
            row = connection.execute(gone).one_or_none()
            return row.key_id if row is not None and row.expires_at > now else None

        return await self._database.write(taken)

"""Links by which a phone's owner pairs it, on a SQL database."""

from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from homing.ports.directory.pairing_links import KnownLink
from homing.store.db.database import Database
from homing.store.db.schema.hearing import pairing_links as links

KEPT = timedelta(days=1)


class SqlPairingLinks:
    """`ports.pairing_links.PairingLinkStore` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, secret_hash: str, account_id: int, *, for_s: float) -> None:
        def added(connection: Connection) -> None:
            now = self._database.now(connection)
            connection.execute(delete(links).where(links.c.expires_at < now - KEPT))
            of_it = (links.c.account_id == account_id) & links.c.ended_at.is_(None)
            connection.execute(update(links).where(of_it).values(ended_at=now))
            row = {"secret_hash": secret_hash, "account_id": account_id, "created_at": now}
            connection.execute(insert(links).values(**row, expires_at=now + timedelta(seconds=for_s)))

        await self._database.write(added)

    async def find(self, secret_hash: str) -> KnownLink | None:
        def found(connection: Connection) -> KnownLink | None:
            now = self._database.now(connection)
            named = (links.c.secret_hash == secret_hash) & links.c.ended_at.is_(None) & (links.c.expires_at > now)
            row = connection.execute(select(links).where(named)).one_or_none()
            if row is None:
                return None
            return KnownLink(row.account_id, (row.expires_at - now).total_seconds(), row.opened_at is not None)

        return await self._database.read(found)

    async def open(self, secret_hash: str) -> bool:
        def opened(connection: Connection) -> bool:
            now = self._database.now(connection)
            unopened: ColumnElement[bool] = (
                (links.c.secret_hash == secret_hash)
                & links.c.ended_at.is_(None)
                & links.c.opened_at.is_(None)
                & (links.c.expires_at > now)
            )
            return bool(connection.execute(update(links).where(unopened).values(opened_at=now)).rowcount)

        return await self._database.write(opened)

    async def end(self, secret_hash: str) -> None:
        def ended(connection: Connection) -> None:
            is_it = (links.c.secret_hash == secret_hash) & links.c.ended_at.is_(None)
            connection.execute(update(links).where(is_it).values(ended_at=self._database.now(connection)))

        await self._database.write(ended)

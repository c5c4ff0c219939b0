"""`ports.instances.standing_facts` on a SQL database."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from homing.model.instances.vault import VaultSealed
from homing.model.sends.messages import MessageState
from homing.ports.instances.standing_facts import StandingFacts
from homing.store.db.database import Database
from homing.store.db.schema.tables import accounts, messages
from homing.store.vault import keys as vault_keys
from homing.store.vault.sealing import KeyRing


class SqlFacts:
    """`ports.instances.standing_facts.FactStore` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, *, short: timedelta, long: timedelta, unknown_after: timedelta) -> StandingFacts:
        def found(connection: Connection) -> StandingFacts:
            now = self._database.now(connection)
            unknown, oldest = _unknown(connection, now - unknown_after)
            return StandingFacts(now, _added(connection, now - short), _added(connection, now - long), unknown, oldest)

        return await self._database.read_aside(found)

    async def now(self) -> datetime:
        return await self._database.read(self._database.now)


class SqlVaultKeys:
    """`ports.instances.standing_facts.VaultKeys`; `ring` is None where this process was given no keys."""

    def __init__(self, database: Database, ring: KeyRing | None) -> None:
        self._database, self._ring = database, ring

    async def lacking(self) -> str | None:
        ring = self._ring
        if ring is None:
            return None
        try:
            await self._database.read_aside(lambda c: vault_keys.check_in_use(c, ring))
        except VaultSealed as sealed:
            return str(sealed)
        return None


def _added(connection: Connection, since: datetime) -> int:
    return connection.scalar(select(func.count()).select_from(accounts).where(accounts.c.created_at >= since)) or 0


def _unknown(connection: Connection, until: datetime) -> tuple[int, datetime | None]:
    of = messages.c
    long = (of.state == MessageState.UNKNOWN, of.updated_at <= until)
    count = connection.scalar(select(func.count()).select_from(messages).where(*long)) or 0
    oldest = select(of.updated_at).where(*long).order_by(of.updated_at).limit(1)
    return count, connection.scalar(oldest) if count else None

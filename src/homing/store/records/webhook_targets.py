"""Where sessions reported before they were connected to us, on a SQL database."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from homing.model.fleet import InstanceUrl, SessionId
from homing.store.db.database import Database
from homing.store.db.schema.reports import webhook_targets as table
from homing.store.db.sql import dialect_of, insert


class SqlWebhookTargets:
    """`ports.reports.WebhookTargets` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, instance: InstanceUrl) -> Mapping[SessionId, Mapping[str, Any] | None]:
        def read(connection: Connection) -> dict[SessionId, Mapping[str, Any] | None]:
            rows = connection.execute(select(table).where(table.c.instance_url == instance))
            return {SessionId(row.session_id): row.kept for row in rows}

        return await self._database.read(read)

    async def instances(self) -> Sequence[InstanceUrl]:
        def read(connection: Connection) -> list[InstanceUrl]:
            rows = connection.execute(select(table.c.instance_url).distinct().order_by(table.c.instance_url))
            return [InstanceUrl(row.instance_url) for row in rows]

        return await self._database.read(read)

    async def remember(self, instance: InstanceUrl, session_id: SessionId, kept: Mapping[str, Any] | None) -> None:
        def write(connection: Connection) -> None:
            told = {"instance_url": instance, "session_id": session_id, "since": self._database.now(connection)}
            statement = insert(dialect_of(connection), table).values(told | {"kept": kept}).on_conflict_do_nothing()
            connection.execute(statement)

        await self._database.write(write)

    async def forget(self, instance: InstanceUrl, session_id: SessionId) -> None:
        here = (table.c.instance_url == instance) & (table.c.session_id == session_id)
        await self._database.write(lambda connection: connection.execute(delete(table).where(here)))

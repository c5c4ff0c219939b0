"""Finding out whether the database takes writes, by making one."""

from typing import Any

from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.tables import write_proof
from homing.store.db.sql import insert, moment, moments

_ROW = 1


class SqlWriteProof:
    """`ports.WriteProof` on SQLite and PostgreSQL: one small row is written, and committed as safely as any other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prove(self) -> None:
        database = self._database
        await database.write_at_once(
            lambda c: c.execute(_statement(database.dialect), moments(c, database, proved_at=0.0))
        )


@prepared
def _statement(dialect: Dialect) -> Any:
    now = moment(dialect, "proved_at")
    row = insert(dialect, write_proof).values(id=_ROW, proved_at=now)
    return row.on_conflict_do_update(index_elements=[write_proof.c.id], set_={"proved_at": row.excluded.proved_at})

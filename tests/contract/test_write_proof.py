"""A proof that the database takes writes is a write: what can only be read from proves nothing."""

import pytest
from sqlalchemy import select, text

from homing.ports import StoreUnavailable
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.db.schema.tables import write_proof
from homing.store.db.write_proof import SqlWriteProof


async def test_a_proof_is_one_row_however_often_it_is_made(database: Database) -> None:
    proof = SqlWriteProof(database)
    for _ in range(3):
        await proof.prove()
    assert len(await database.read(lambda c: c.execute(select(write_proof)).all())) == 1


async def test_a_server_that_takes_no_writes_gives_no_proof_though_it_can_be_read(postgres_url: str) -> None:
    database = open_database(postgres_url)
    await database.read(lambda c: c.scalar(text("SELECT 1")))
    name = await database.read(lambda c: c.scalar(text("SELECT current_database()")))
    await database.write(lambda c: c.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")))
    try:
        # Connections that were there before are not told of it; all new ones are.
        fresh = open_database(postgres_url)
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            await SqlWriteProof(fresh).prove()
        await fresh.close()
    finally:
        await database.write(lambda c: c.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only")))
        await database.close()
    again = open_database(postgres_url)
    await SqlWriteProof(again).prove()
    await again.close()

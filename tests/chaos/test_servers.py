"""Servers of a run's own: after a failover there can be another one."""

import asyncio
import time

import asyncpg

from homing.lab.chaos.ground.servers import Postgres, own_pair

FOLLOWS_WITHIN_S = 20.0


async def asked(server: Postgres, question: str) -> object:
    connection = await asyncpg.connect(server.url, timeout=5)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def until_there(server: Postgres, number: int) -> None:
    deadline_s = time.monotonic() + FOLLOWS_WITHIN_S
    while await asked(server, "SELECT max(n) FROM kept") != number:
        assert time.monotonic() < deadline_s, f"{number} never came"
        await asyncio.sleep(0.05)


async def test_a_former_primary_follows_the_new_one_and_can_be_promoted_again() -> None:
    async with own_pair({"fsync": "off"}) as pair:
        await pair.first.run("CREATE TABLE kept (n INTEGER)", "INSERT INTO kept VALUES (1)")
        for number in (2, 3):
            await until_there(pair.second, number - 1)
            former = pair.first
            await pair.demote_first()
            await pair.promote_second()
            pair = await pair.rejoined()
            assert pair.second is former
            assert await asked(pair.second, "SELECT pg_is_in_recovery()") is True
            await pair.first.run(f"INSERT INTO kept VALUES ({number})")
            await until_there(pair.second, number)

"""A fleet that runs on while its database is replaced by an older backup."""

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from bench.fleet import Fleet, open_fleet
from homing.decide.fleet.leases import BEYOND_A_BACKUP
from homing.demo.processes import environment
from services import PostgresServer

PG_DUMP, PG_RESTORE = (shutil.which(name) for name in ("pg_dump", "pg_restore"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.walk,
    pytest.mark.skipif(
        PG_DUMP is None or PG_RESTORE is None,
        reason="NOT RUN: pg_dump and pg_restore are not installed (Debian: postgresql-client)",
    ),
]
SENDS_AGAIN_WITHIN_S = 60.0


async def run(*command: str, **settings: str) -> None:
    def done() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(settings))

    ran = await asyncio.to_thread(done)
    assert ran.returncode == 0, ran.stdout + ran.stderr


async def put_in_place(url: str, restored: str) -> None:
    """The restored database has the name of the other one, which is gone."""
    there, new = make_url(url), make_url(restored)
    admin = there.set(database="postgres").render_as_string(hide_password=False)
    connection = await asyncpg.connect(admin)
    try:
        await connection.execute(f'DROP DATABASE "{there.database}" WITH (FORCE)')
        await connection.execute(f'ALTER DATABASE "{new.database}" RENAME TO "{there.database}"')
    finally:
        await connection.close()


async def sends_again(fleet: Fleet) -> None:
    deadline_s = time.monotonic() + SENDS_AGAIN_WITHIN_S
    for resident in fleet.residents:
        while (answer := await fleet.send(resident)).status != 200:
            assert time.monotonic() < deadline_s, answer
            await asyncio.sleep(0.2)


async def test_live_sessions_go_on_above_every_epoch_and_no_phone_is_paired_anew(
    empty_postgres_url: str, _postgres: PostgresServer, tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup")
    async with open_fleet(database_url=empty_postgres_url, accounts=6, contacts=3, instances=3) as fleet:
        await sends_again(fleet)
        await run(str(PG_DUMP), "--format=custom", "--file", backup, fleet.demo.database_url)

        # The world goes on: a session moves, and all say more than the backup knows.
        mover = fleet.residents[0]
        other = next(url for url in fleet.demo.instances if url != mover.instance_url)
        status, moved = await fleet.call("POST", f"/api/v1/accounts/{mover.uuid}/migrate", {"to": other})
        assert status in (200, 202), moved
        async with asyncio.timeout(SENDS_AGAIN_WITHIN_S):
            while (await fleet.send(mover)).document["instance_url"] != other:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.2)
        for _ in range(5):
            await sends_again(fleet)

        restored = _postgres.create_empty()
        await run(str(PG_RESTORE), "--no-owner", "--dbname", restored, backup)
        await run(sys.executable, "-P", "-m", "homing.cli", "db", "restored", HOMING_DATABASE_URL=restored)
        await put_in_place(fleet.demo.database_url, restored)

        await sends_again(fleet)
        accounts = (await fleet.api("/accounts"))["data"]
        # WhatsApp takes no login and no counter that is older than what it has seen: what lived on was handed over.
        assert {each["status"] for each in accounts} == {"connected"}
        assert min(each["epoch"] for each in accounts) > BEYOND_A_BACKUP
        assert fleet.lost_and_doubled() == (0, 0)

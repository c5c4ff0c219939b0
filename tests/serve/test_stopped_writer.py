"""A whole gateway on a database file, and an instance that is stopped in the middle of a write to it."""

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.drivers import Drivers
from homing.model.instances.leases import Ended, IncarnationId
from homing.model.instances.vault import Holder
from homing.store.sqlite.process_id import mark_of
from homing.world import SystemClock
from tests.flows.worlds import A, World

WRITES = """
import os, signal, sqlite3, sys
sys.stdin.readline()
file = sqlite3.connect(sys.argv[2], isolation_level=None, timeout=5)
file.execute("BEGIN IMMEDIATE")
os.kill(os.getpid(), signal.SIGSTOP)
file.execute("ROLLBACK")
"""


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "only named"])
async def test_an_instance_that_stands_with_the_files_lock(tmp_path: Path, ends: bool) -> None:
    file = tmp_path / "homing.db"
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=f"sqlite:///{file}",
        instances=(A,),
        homing_end_stopped_writers=ends,
    )
    (tmp_path / "homing").write_text(WRITES)  # so that its command line is that of an instance
    async with open_gateway(settings, Drivers({"webjs": World(SystemClock(), A)})) as gateway:
        writer = await asyncio.create_subprocess_exec(
            sys.executable, str(tmp_path / "homing"), "instance", str(file), stdin=asyncio.subprocess.PIPE
        )
        over = asyncio.create_task(writer.wait())
        boot = IncarnationId(f"boot-{mark_of(writer.pid)}")
        await gateway.stores.leases.begin(Holder(A, boot), expiry_s=60.0)
        try:
            assert writer.stdin is not None
            writer.stdin.write(b"begin\n")
            await asyncio.wait({over}, timeout=15.0 if ends else 4.0)
            assert over.done() == ends
            if not ends:
                writer.send_signal(signal.SIGCONT)
            assert await over == (-signal.SIGKILL if ends else 0)
            with sqlite3.connect(file, timeout=5, isolation_level=None) as free:
                free.execute("BEGIN IMMEDIATE")
            free.close()
            await _until(lambda: _ended(gateway, boot), Ended.EXITED if ends else None)
        finally:
            if writer.returncode is None:
                writer.kill()
                await over


async def _ended(gateway: Gateway, boot: IncarnationId) -> Ended | None:
    (newest,) = await gateway.stores.leases.incarnations()
    assert newest.id == boot
    return newest.ended


async def _until(asked: Callable[[], Awaitable[Ended | None]], expected: Ended | None) -> None:
    for _ in range(100):
        if await asked() is expected:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"its lease did not end as {expected}")

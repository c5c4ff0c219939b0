"""``python -m simulated_whatsapp`` as a process."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from simulated_whatsapp.client import Administration, Device
from simulated_whatsapp.wire import tcp

pytestmark = pytest.mark.e2e
COMMAND = [sys.executable, "-m", "simulated_whatsapp"]


async def ran(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 10)
    return process.returncode, out.decode(), err.decode()


async def test_it_says_where_it_listens_links_a_code_and_ends_cleanly(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(*COMMAND, "--ledger", str(tmp_path / "l.jsonl"), stdout=PIPE)
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    assert ready["pid"] == process.pid
    device = await Device(lambda _: None).connect(tcp(ready["address"]))
    pairing = await device.pair("new")
    code, out, _ = await ran("link", pairing.code, "--address", ready["address"])
    assert (code, json.loads(out)) == (0, {"session_id": "new"})
    code, _, err = await ran("link", pairing.code, "--address", ready["address"])
    assert code == 1
    assert "unknown_code" in err
    async with Administration(ready["address"]) as whatsapp:
        assert (await whatsapp.stats())["devices"] == 1
    device.close()
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0

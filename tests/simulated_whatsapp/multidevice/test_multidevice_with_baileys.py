"""A second, independent client: Baileys 7 as it is installed, where `HOMING_TEST_BAILEYS` names its folder."""

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INSTALLED = os.environ.get("HOMING_TEST_BAILEYS", "")
SEEN = 24


@pytest.mark.e2e
@pytest.mark.skipif(
    not INSTALLED or not shutil.which("node"), reason="no Node, or HOMING_TEST_BAILEYS names no Baileys 7"
)
async def test_an_unchanged_client_is_linked_writes_reads_and_is_told_how_it_ends(tmp_path: Path) -> None:
    pipe, keys = asyncio.subprocess.PIPE, tmp_path / "keys"
    command = [sys.executable, "-m", "homing.demo.child", str(os.getpid()), "simulated_whatsapp", "multidevice"]
    command += ["--ledger", str(tmp_path / "ledger")]
    command += ["--keys", str(keys), "--dictionary", INSTALLED]
    server = await asyncio.create_subprocess_exec(*command, stdout=pipe)
    assert server.stdout is not None
    told = (await server.stdout.readline()).decode()
    (tmp_path / "node_modules").symlink_to(Path(INSTALLED).parent)
    script = shutil.copy(HERE / "with_baileys.mjs", tmp_path)
    trusting = os.environ | {"NODE_EXTRA_CA_CERTS": json.loads(told)["ca"]}
    client = await asyncio.create_subprocess_exec("node", script, told, stdout=pipe, stderr=pipe, env=trusting)
    try:
        async with asyncio.timeout(240):
            output, errors = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
        server.send_signal(signal.SIGTERM)
        await server.wait()
    lines = output.decode().splitlines()
    assert lines[-1:] == ["done"], (lines, errors.decode())
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert len(lines) == SEEN + 1

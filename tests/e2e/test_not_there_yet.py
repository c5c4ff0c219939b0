"""What is not there yet is waited for, and what waiting does not cure ends the process with 2: in any boot order."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from sqlalchemy import make_url

from homing.demo.processes import environment
from homing.store.vault.sealing import fresh_key
from services import free_port
from tcp_proxy import tcp_proxy

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

HOMING = [sys.executable, "-P", "-m", "homing.cli"]
LIMIT_S = 30.0


@asynccontextmanager
async def process(folder: Path, *command: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    given = {"HOMING_LOG_FORMAT": "json", "WHATSAPP_API_KEY": "k" * 20, **settings}
    log = (folder / "log").open("wb")
    with closing(log):
        started = await asyncio.create_subprocess_exec(
            *HOMING, *command, cwd=folder, env=environment(given), stdout=log, stderr=log
        )
        try:
            yield started
        finally:
            if started.returncode is None:
                started.kill()
                await started.wait()


def asked(port: int, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)
    except OSError:
        return 0, {}


async def until(port: int, path: str, status: int) -> dict[str, object]:
    async with asyncio.timeout(LIMIT_S):
        while True:
            got, document = await asyncio.to_thread(asked, port, path)
            if got == status:
                return document
            await asyncio.sleep(0.1)


async def code(of: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(LIMIT_S):
        return await of.wait()


async def test_a_gateway_waits_for_its_database_and_begins_when_it_is_there(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    url = make_url(empty_postgres_url)
    there, port = free_port(), free_port()
    later = url.set(host="127.0.0.1", port=there).render_as_string(hide_password=False)
    async with process(tmp_path, "serve", HOMING_DATABASE_URL=later, HOMING_PORT=str(port)) as gateway:
        assert (await until(port, "/health", 200))["status"] == "healthy"
        await asyncio.sleep(1.6)
        status, said = await asyncio.to_thread(asked, port, "/ready")
        assert (status, said["status"]) == (503, "starting")
        status, said = await asyncio.to_thread(asked, port, "/api/v1/accounts")
        assert (status, said["code"]) == (503, "directory_unavailable")
        async with tcp_proxy(str(url.host), url.port or 5432, at_port=there):
            assert (await until(port, "/ready", 200))["status"] == "ready"
            gateway.send_signal(signal.SIGTERM)
            assert await code(gateway) in (0, -signal.SIGTERM)
    told = [line for line in (tmp_path / "log").read_text().splitlines() if "not there yet" in line]
    assert len(told) == 1, told


async def test_a_gateway_that_waits_can_be_stopped(tmp_path: Path) -> None:
    port = free_port()
    nowhere = "postgresql://u:a-secret@127.0.0.1:1/homing"
    async with process(tmp_path, "serve", HOMING_DATABASE_URL=nowhere, HOMING_PORT=str(port)) as gateway:
        await until(port, "/ready", 503)
        gateway.send_signal(signal.SIGTERM)
        assert await code(gateway) in (0, -signal.SIGTERM)
    assert "a-secret" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("command", ["serve", "instance"])
async def test_a_process_that_gives_up_says_so_with_another_code_than_a_wrong_setting(
    tmp_path: Path, command: str
) -> None:
    nowhere = "postgresql://u:a-secret@no-such-host.invalid/homing"
    settings = {"HOMING_DATABASE_URL": nowhere, "HOMING_DATABASE_WAIT": "1", "HOMING_VAULT_KEY": str(fresh_key())}
    more = ["--whatsapp", "127.0.0.1:1", "--port", "0"] if command == "instance" else ["--port", str(free_port())]
    async with process(tmp_path, command, *more, **settings) as waiting:
        assert await code(waiting) == 1
    said = (tmp_path / "log").read_text()
    assert "HOMING_DATABASE_WAIT" in said
    assert "a-secret" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "wrong",
    ["database", "TLS", "newer schema", "parameter"],
)
async def test_what_waiting_does_not_cure_ends_a_gateway_with_2(tmp_path: Path, postgres_url: str, wrong: str) -> None:
    url = {
        "database": make_url(postgres_url).set(database="no_such_one").render_as_string(hide_password=False),
        "TLS": f"{postgres_url}?sslmode=require",
        "newer schema": postgres_url,
        "parameter": f"{postgres_url}?sslmod=require",
    }[wrong]
    if wrong == "newer schema":
        import asyncpg

        connection = await asyncpg.connect(postgres_url)
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        await connection.close()
    async with process(tmp_path, "serve", "--port", str(free_port()), HOMING_DATABASE_URL=url) as refused:
        assert await code(refused) == 2, (tmp_path / "log").read_text()
    [said] = [line for line in (tmp_path / "log").read_text().splitlines() if "cannot start" in line]
    assert said


async def test_exited_waits_a_little_and_does_not_call_an_absent_database_a_wrong_use(tmp_path: Path) -> None:
    async with process(
        tmp_path, "exited", "http://127.0.0.1:3001", HOMING_DATABASE_URL="postgresql://u@127.0.0.1:1/homing"
    ) as said:
        assert await code(said) == 1


def test_the_shipped_units_start_again_after_everything_but_a_wrong_setting() -> None:
    for unit in ("homing.service", "homing-instance@.service"):
        text = (Path(__file__).parents[2] / "deploy" / unit).read_text()
        assert "\nRestart=always\n" in text
        assert "\nRestartPreventExitStatus=2\n" in text

"""The database away, instances that answer nonsense, and settings that cannot be: nothing hangs, nothing crashes."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import make_url

from bench.fleet import Fleet, open_fleet
from tests.tcp_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.e2e

AT_ONCE_S = 2.5


@pytest.fixture
async def behind_proxy(empty_postgres_url: str) -> AsyncIterator[tuple[Fleet, TcpProxy]]:
    """A fleet whose way to PostgreSQL can fall silent."""
    url = make_url(empty_postgres_url)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(tcp_proxy(str(url.host or "127.0.0.1"), url.port or 5432))
        proxied = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        fleet = await stack.enter_async_context(open_fleet(database_url=proxied, accounts=6, contacts=3))
        yield fleet, proxy


async def test_without_the_database_cached_routes_go_on_and_the_rest_is_told_at_once(
    behind_proxy: tuple[Fleet, TcpProxy],
) -> None:
    fleet, proxy = behind_proxy
    cached, cold = fleet.residents[0], fleet.residents[1]
    assert (await fleet.send(cached)).status == 200
    proxy.freeze()
    proxy.cut()
    going_on = await fleet.send(cached)
    assert (going_on.status, going_on.took_s < 1) == (200, True)
    refused = await fleet.send(cold)
    assert (refused.status, refused.document["code"]) == (503, "directory_unavailable")
    assert refused.took_s < AT_ONCE_S
    keyed = await fleet.send(cached, key="k")
    assert (keyed.status, keyed.document["code"]) == (503, "directory_unavailable")
    proxy.thaw()
    await fleet.ready()
    assert (await fleet.send(cold)).status == 200
    assert (await fleet.send(cached, keyed.text, key="k")).status == 200
    assert fleet.lost_and_doubled() == (0, 0)


@pytest.mark.parametrize("fault", ["garbage", "half", "huge", "drop_after", "drop_before"])
async def test_an_instance_that_answers_nonsense_is_a_fault_like_others(fault: str) -> None:
    async with open_fleet(accounts=6, contacts=3) as fleet:
        resident = fleet.residents[0]
        await _misbehave(fleet, resident.instance_url, {fault: {"count": 1, "scope": "sends"}})
        answered = await fleet.send(resident)
        assert (answered.status, answered.attempts) == (200, 2)
        assert fleet.delivered()[answered.text] == 1
        await _misbehave(fleet, resident.instance_url, {fault: {"seconds": 60, "scope": "all"}})
        lasting = await fleet.send(resident)
        assert lasting.status in (202, 503)
        assert fleet.delivered()[lasting.text] <= 1
        await _misbehave(fleet, resident.instance_url, {"clear": True})
        assert (await fleet.send(resident)).status == 200


async def _misbehave(fleet: Fleet, url: str, how: dict[str, Any]) -> None:
    body = {"api_key": fleet.demo.secrets.instance_api_key} | how
    async with aiohttp.ClientSession() as http, http.post(f"{url}/faults", json=body) as answer:
        assert answer.status == 200, await answer.text()


# --- starting ---------------------------------------------------------------------------------------------------


def _serve(folder: Path, **settings: str) -> "subprocess.Popen[str]":
    environment = {"PATH": os.environ["PATH"], "HOMING_PORT": str(_free_port())} | settings
    command = [sys.executable, "-m", "homing.cli", "serve"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def _refused(process: "subprocess.Popen[str]") -> str:
    """What a start that must fail said: one sentence, exit code 2."""
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1, said
    return said


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_a_port_that_is_taken_is_named(tmp_path: Path, taken_port: int) -> None:
    assert str(taken_port) in _refused(_serve(tmp_path, HOMING_PORT=str(taken_port)))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"WHATSAPP_INSTANCE_1": "not a url"}, "WHATSAPP_INSTANCE_1"),
        ({"WHATSAPP_TIMEOUT": "soon"}, "WHATSAPP_TIMEOUT"),
        ({"HOMING_DATABASE_URL": "mysql://localhost/x"}, "mysql"),
        ({"HOMING_DATABASE_URL": "sqlite:////nowhere/at/all/homing.db"}, "/nowhere/at/all"),
        ({"HOMING_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    assert named in _refused(_serve(tmp_path, **settings))


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"WHATSAPP_API_KEY=\xff\xfe\n")
    assert ".env" in _refused(_serve(tmp_path))


async def test_a_second_gateway_on_one_file_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    port = _free_port()
    first = _serve(tmp_path, HOMING_PORT=str(port))
    try:
        await _listens(port)
        assert "already" in _refused(_serve(tmp_path))
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate(timeout=20)


async def _listens(port: int) -> None:
    until_s = time.monotonic() + 20
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < until_s:
            try:
                async with http.get(f"http://127.0.0.1:{port}/ready", timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)
    raise AssertionError("the gateway did not listen")

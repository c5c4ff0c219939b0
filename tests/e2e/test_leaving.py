"""A gateway that is told to end, as the processes around it see that."""

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.fleet import Fleet, open_fleet

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

DELAY_S = 1.5
LEAVES_LATE = {"HOMING_STOP_DELAY": str(DELAY_S)}


@asynccontextmanager
async def fleet(**settings: str) -> AsyncIterator[Fleet]:
    async with open_fleet(accounts=4, contacts=2, instances=2, settings=LEAVES_LATE | settings) as up:
        yield up


def process(up: Fleet) -> "Any":
    return up.demo.gateways[up.gateways[0]].process


async def ended(up: Fleet, within_s: float = 10.0) -> int:
    deadline_s = time.monotonic() + within_s
    while (code := process(up).poll()) is None:
        assert time.monotonic() < deadline_s, "the gateway did not end"
        await asyncio.sleep(0.02)
    return int(code)


async def test_it_says_that_it_leaves_and_serves_until_balancers_have_noticed() -> None:
    async with fleet() as up, aiohttp.ClientSession() as client:
        url, [resident, *_] = up.gateways[0], up.residents
        authorization = {"Authorization": f"Bearer {up.demo.population.token}"}
        stream = {**authorization, "Accept": "text/event-stream"}
        async with client.get(f"{url}/api/v1/events", headers=stream) as events:
            process(up).send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                while (ready := await client.get(f"{url}/ready")).status == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert (ready.status, (await ready.json())["status"]) == (503, "stopping")
            assert ready.headers["Connection"] == "close"
            assert (await up.send(resident)).status == 200
            async with client.get(f"{url}/api/v1/accounts", headers=authorization) as answer:
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
            said = (await events.read()).decode()
        assert said.endswith("this gateway ends; come again, and go on where this stream breaks off\n\n")
        assert "retry: 500" in said
        assert await ended(up) == 0
        assert up.lost_and_doubled() == (0, 0)


async def test_a_second_word_ends_it_at_once_and_what_is_cut_off_is_recorded() -> None:
    async with fleet(HOMING_STOP_DELAY="60", HOMING_SEND_DEADLINE="60") as up:
        [resident, *_] = up.residents
        await up.misbehave(resident.instance_url, hang=True)
        sending = asyncio.create_task(up.send(resident))
        async with asyncio.timeout(5):
            while not await up.figure("homing_sends_in_progress"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        process(up).send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert process(up).poll() is None
        process(up).send_signal(signal.SIGTERM)
        assert await ended(up, within_s=6) == 0
        answer = await sending
        assert (answer.status, answer.document["outcome"]) == (202, "unknown")
        with sqlite3.connect(up.demo.folder.database) as database:
            [(state, reason)] = database.execute(
                "SELECT state, reason FROM messages WHERE uuid = ?", [answer.document["message_uuid"]]
            ).fetchall()
        assert state == "unknown"
        assert "ended before the send was" in reason


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_nobody_waits_for_balancers_of_a_gateway_that_was_never_ready_or_is_looked_at(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C at a terminal, and a gateway that still waits for its database."""
    nowhere = "postgresql://u@127.0.0.1:1/homing" if number is signal.SIGTERM else f"sqlite:///{tmp_path}/homing.db"
    settings = {"HOMING_DATABASE_URL": nowhere, "HOMING_STOP_DELAY": "60", "HOMING_PORT": "0"}
    port = _free()
    command = [sys.executable, "-P", "-m", "homing.cli", "serve", "--port", str(port)]
    gateway = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env={**os.environ, **settings, "HOMING_PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with aiohttp.ClientSession() as client, asyncio.timeout(30):
        wanted = 503 if number is signal.SIGTERM else 200
        while await _status(client, f"http://[::1]:{port}/ready", f"http://127.0.0.1:{port}/ready") != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    gateway.send_signal(number)
    assert await asyncio.wait_for(gateway.wait(), 10) == 0


async def _status(client: aiohttp.ClientSession, *urls: str) -> int | None:
    """What all of these answer; None as long as one of them does not."""
    try:
        [status] = {(await client.get(url)).status for url in urls}
    except (aiohttp.ClientError, ValueError):
        return None
    return status


def _free() -> int:
    from services import free_port

    return free_port()

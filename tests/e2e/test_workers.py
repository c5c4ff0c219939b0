"""Several workers behind one port: replaced under load, killed, told to end."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import pytest

from bench.fleet import Answered, Fleet, open_fleet
from homing.cli.run.processes import serve
from homing.cli.terminal.stops import CannotStart
from homing.model.sends.faults import Fault

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

RATE = 40
WITHIN_S = 60.0


def workers_of(supervisor: int) -> set[int]:
    listed = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
    return {int(pid) for pid in listed.split()}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


async def load(fleet: Fleet, over: asyncio.Event) -> list[Answered]:
    """Sends at a steady rate, whether or not those before have ended."""
    said: list[asyncio.Task[Answered]] = []
    began_s = time.monotonic()
    while not over.is_set():
        resident = fleet.residents[len(said) % len(fleet.residents)]
        said.append(asyncio.create_task(fleet.send(resident)))
        await asyncio.sleep(max(0.0, began_s + len(said) / RATE - time.monotonic()))
    return list(await asyncio.gather(*said))


async def until_replaced(supervisor: int, before: set[int]) -> set[int]:
    """The workers, once none of those before is among them and there are as many."""
    deadline_s = time.monotonic() + WITHIN_S
    while len(now := workers_of(supervisor)) != len(before) or now & before:
        assert time.monotonic() < deadline_s, f"the workers are {now}, and were {before}"
        await asyncio.sleep(0.1)
    return now


async def figures(fleet: Fleet) -> str:
    reply = await fleet.wire.call("GET", fleet.gateways[0], "/metrics", timeout_s=10)
    assert not isinstance(reply, Fault)
    return bytes(reply.body).decode()


async def test_workers_are_replaced_under_load_and_a_killed_one_is_followed(empty_postgres_url: str) -> None:
    settings = {"HOMING_WORKERS": "2", "HOMING_STOP_DELAY": "2"}
    async with open_fleet(
        database_url=empty_postgres_url, gateways=1, accounts=8, contacts=4, settings=settings
    ) as fleet:
        supervisor = next(iter(fleet.demo.gateways.values())).process.pid
        first = workers_of(supervisor)
        assert len(first) == 2
        over = asyncio.Event()
        loading = asyncio.create_task(load(fleet, over))
        await asyncio.sleep(1.0)
        os.kill(supervisor, signal.SIGHUP)
        second = await until_replaced(supervisor, first)
        await asyncio.sleep(1.0)
        over.set()
        answers = await loading
        assert len(answers) > RATE
        assert {answer.status for answer in answers} == {200}

        told = await figures(fleet)
        assert "homing_workers_answered 2.0" in told
        sent = re.findall(r'homing_sends_total\{outcome="sent",worker="(\d)"\}', told)
        assert sorted(sent) == ["1", "2"]

        victim = min(second)
        os.kill(victim, signal.SIGKILL)
        deadline_s = time.monotonic() + WITHIN_S
        while len(now := workers_of(supervisor)) != 2 or victim in now:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.1)

        os.kill(supervisor, signal.SIGTERM)
        await asyncio.to_thread(next(iter(fleet.demo.gateways.values())).process.wait, WITHIN_S)
        assert not alive(now)


def test_workers_on_a_file_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOMING_DATABASE_URL", f"sqlite:///{tmp_path}/homing.db")
    with pytest.raises(CannotStart, match="2 workers need PostgreSQL"):
        serve(workers=2)

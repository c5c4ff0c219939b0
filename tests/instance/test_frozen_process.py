"""Instances as processes that are stopped, killed in the middle, or cut off from their database: what the judge saw."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url

from homing.model.fleet import InstanceUrl
from simulated_whatsapp.core import Dropped
from tcp_proxy import tcp_proxy

pytestmark = pytest.mark.e2e
BRIEF = {
    "HOMING_LEASE_HEARTBEAT": "0.2",
    "HOMING_LEASE_REPEAT": "0.1",
    "HOMING_LEASE_SELF_FENCE": "1",
    "HOMING_LEASE_EXPIRY": "1.5",
}


@asynccontextmanager
async def frozen(process: Process) -> AsyncIterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


class Buffered:
    """A send that was written into a connection, whole or but for its last bytes, and not answered yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes) -> None:
        self._reader, self._writer, self._rest = reader, writer, rest

    @classmethod
    async def to(cls, url: str, message_id: str, *, epoch: int, held_back: int = 0) -> "Buffered":
        body = {"api_key": "secret", "session_id": "s1", "recipient_phone": "62811", "message_id": message_id}
        raw = json.dumps({**body, "message": f"buffered {message_id}"}).encode()
        head = f"POST /api/messages/send HTTP/1.1\r\nHost: x\r\nX-Homing-Epoch: {epoch}\r\n"
        whole = f"{head}Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(whole[: len(whole) - held_back])
        return cls(reader, writer, whole[len(whole) - held_back :])

    async def answer(self) -> tuple[int, dict[str, Any]]:
        self._writer.write(self._rest)
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 5)
        length = int(next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if b"content-length" in line))
        body = await self._reader.readexactly(length)
        self._writer.close()
        return int(head.split()[1]), json.loads(body)


async def lapsed(fleet: Any, url: str) -> bool:
    return any(
        boot.instance_url == InstanceUrl(url) and boot.lease_left_s < 0 for boot in await fleet.leases.incarnations()
    )


async def test_a_frozen_instance_that_wakes_sends_nothing_and_writes_nothing(fleet, processes, eventually):
    await fleet.link("s1")
    process, one = await processes.instance(environment=BRIEF)
    _, two = await processes.instance(environment=BRIEF)
    await processes.start(one)
    assert (await processes.send(one, "first", "3EB00001"))[0] == 200
    async with frozen(process):
        waiting = [await Buffered.to(one, f"3EB0000{n}", epoch=1, held_back=20 * (n % 2)) for n in range(2, 8)]
        await fleet.whatsapp.deliver("s1", "62899", "halo")
        await eventually(lambda: lapsed(fleet, one))
        status, started = await processes.post(two, "/api/sessions", {"session_id": "s1", "workspace_id": 1}, epoch=2)
        assert (status, started["status"], started["epoch"]) == (200, "connected", 2)
        assert (await processes.send(two, "second", "3EB00010"))[0] == 200
        await eventually(lambda: acknowledged(fleet, "3EB00010"))
        before = await fleet.stored("s1")
    answers = await asyncio.gather(*(each.answer() for each in waiting), straight(processes, one))
    assert {status for status, _ in answers} <= {503, 409, 404}, answers
    await eventually(lambda: empty(processes, one))
    await eventually(lambda: held_again(fleet, one))
    assert (await straight(processes, one))[0] == 404
    assert await fleet.stored("s1") == before
    assert (await processes.send(two, "third", "3EB00011"))[0] == 200
    assert [(entry.text, entry.label["epoch"]) for entry in fleet.ledger()] == [
        ("first", 1),
        ("second", 2),
        ("third", 2),
    ]
    assert (await fleet.whatsapp.stats())["evictions"] == 1, "it never logged in again"


async def test_a_short_freeze_costs_nothing_but_its_time(fleet, processes, eventually):
    await fleet.link("s1")
    process, one = await processes.instance(environment=BRIEF)
    await processes.start(one)
    async with frozen(process):
        waiting = [await Buffered.to(one, f"3EB0000{n}", epoch=1) for n in range(3)]
        await asyncio.sleep(0.5)
    assert [status for status, _ in await asyncio.gather(*(each.answer() for each in waiting))] == [200] * 3
    assert (await fleet.whatsapp.stats())["logins"] == 1


@pytest.mark.parametrize("arrived", [False, True], ids=["before-it-arrived", "before-it-was-acknowledged"])
async def test_a_frame_whose_holder_was_killed_is_finished_by_the_next_one(
    fleet, processes, eventually, monkeypatch, arrived
):
    await fleet.link("s1")
    process, one = await processes.instance()
    await processes.start(one)
    assert (await processes.send(one, "first", "3EB00001"))[0] == 200
    deliver = fleet.server.judge.send

    def unanswered(*message: Any) -> Dropped:
        if arrived:
            fleet.write_down(deliver(*message).delivery)
        return Dropped()

    monkeypatch.setattr(fleet.server.judge, "send", unanswered)
    lost = asyncio.create_task(processes.send(one, "lost?", "3EB00002"))
    await eventually(lambda: reserved(fleet, "3EB00002"))
    await asyncio.sleep(0.05)
    process.kill()
    await process.wait()
    monkeypatch.undo()
    assert [entry.text for entry in fleet.ledger()] == (["first", "lost?"] if arrived else ["first"])
    _, two = await processes.instance()
    assert (await processes.start(two))[1]["status"] == "connected"
    assert (await processes.send(two, "lost?", "3EB00002"))[0] == 200, "it joins what is on its way, or is told of it"
    assert (await processes.send(two, "next", "3EB00003"))[0] == 200
    assert [entry.text for entry in fleet.ledger()] == ["first", "lost?", "next"]
    await asyncio.gather(lost, return_exceptions=True)


async def test_while_its_database_is_away_an_instance_pauses_and_nobody_is_logged_out(
    pg_fleet, pg_processes, eventually
):
    fleet, processes = pg_fleet, pg_processes
    await fleet.link("s1")
    url = make_url(fleet.database_url)
    async with tcp_proxy(str(url.host), url.port or 5432) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        process, one = await processes.instance(environment={**BRIEF, "HOMING_DATABASE_URL": through})
        await processes.start(one)
        assert (await processes.send(one, "first", "3EB00001"))[0] == 200
        proxy.freeze()
        await eventually(lambda: paused(fleet, one))
        status, body = await processes.send(one, "meanwhile", "3EB00002")
        assert (status, "paused" in body["error"]) == (503, True)
        await asyncio.sleep(3)
        assert (await fleet.whatsapp.stats())["connected"] == 1
        proxy.thaw()
        await eventually(lambda: held_again(fleet, one))
        assert (await processes.send(one, "again", "3EB00003"))[0] == 200
        assert (await fleet.whatsapp.stats())["logins"] == 1
        assert [entry.text for entry in fleet.ledger()] == ["first", "again"]
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def straight(processes: Any, url: str) -> tuple[int, dict[str, Any]]:
    """A request by somebody who missed the new grant."""
    body = {"session_id": "s1", "recipient_phone": "62811", "message": "straight", "message_id": "3EB00099"}
    return await processes.post(url, "/api/messages/send", body, epoch=1)


async def empty(processes: Any, url: str) -> bool:
    async with processes._fleet.http.get(url + "/api/sessions?api_key=secret") as reply:
        return (await reply.json())["total"] == 0


async def lease_of(fleet: Any, url: str) -> str:
    async with fleet.http.get(url + "/health") as reply:
        return (await reply.json())["lease"]["state"]


async def paused(fleet: Any, url: str) -> bool:
    return await lease_of(fleet, url) == "paused"


async def held_again(fleet: Any, url: str) -> bool:
    return await lease_of(fleet, url) == "held"


async def acknowledged(fleet: Any, message_id: str) -> bool:
    return (message_id, True) in (await fleet.stored("s1")).settled


async def reserved(fleet: Any, message_id: str) -> bool:
    return message_id in (await fleet.stored("s1")).unfinished

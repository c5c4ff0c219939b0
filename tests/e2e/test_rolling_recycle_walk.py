"""Instances are started anew by a supervisor, while people send: real processes all. Where sessions can be handed over
no request fails; elsewhere those that were announced are away, and come back at the rate of their gateway."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from bench.fleet import Fleet, free_ports, kill, open_fleet
from homing.decide.deliveries import signing
from homing.model.sends.faults import Fault

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

SECRET = "whsec_" + "c3VwZXJ2aXNvci1zZWNyZXQtb2YtYS10ZXN0LTMyLWJ5dGVz"
EVERY_S = 8.0
"""Each of a hundred sends so often."""


@dataclass
class Supervisor:
    """Starts a process anew when it is told that it may be."""

    port: int
    up: Fleet | None = None
    told: list[dict[str, Any]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    away: dict[str, list[float]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.headers["webhook-signature"].startswith("v1,")
        assert signing.read(SECRET)
        data = json.loads(body)["data"]
        if data["recycle_id"] not in {each["recycle_id"] for each in self.told}:
            self.told.append(data)
            self.tasks.append(asyncio.create_task(self._anew(data["instance_url"])))
        return web.Response(status=202)

    async def _anew(self, url: str) -> None:
        assert self.up is not None
        began_s = time.monotonic()
        self.away[url] = [began_s]
        kill(self.up.demo.instances[url])
        await asyncio.sleep(2.0)
        self.up.demo.begin_instance_again(url)
        while isinstance(await self.up.wire.call("GET", url, "/ping", timeout_s=2), Fault):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        self.away[url].append(time.monotonic())


@asynccontextmanager
async def supervised(**fleet: Any) -> AsyncIterator[tuple[Fleet, Supervisor]]:
    supervisor = Supervisor(free_ports(1))
    app = web.Application()
    app.router.add_post("/supervise", supervisor.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", supervisor.port).start()
    settings = {
        "HOMING_SUPERVISOR_URL": f"http://127.0.0.1:{supervisor.port}/supervise",
        "HOMING_SUPERVISOR_SECRET": SECRET,
        **fleet.pop("settings", {}),
    }
    try:
        async with open_fleet(**{"accounts": 100, "contacts": 10, **fleet}, settings=settings) as up:
            supervisor.up = up
            yield up, supervisor
    finally:
        await runner.cleanup()


@asynccontextmanager
async def load(up: Fleet) -> AsyncIterator[None]:
    """Everybody sends all the time."""

    async def talks(number: int) -> None:
        resident = up.residents[number]
        await asyncio.sleep(EVERY_S * number / len(up.residents))
        while True:
            await up.send(resident, contact=number)
            await asyncio.sleep(EVERY_S)

    talking = [asyncio.create_task(talks(number)) for number in range(len(up.residents))]
    try:
        yield
    finally:
        for each in talking:
            each.cancel()
        for each in talking:
            with suppress(asyncio.CancelledError):
                await each


async def recycled(up: Fleet, *, within_s: float) -> list[dict[str, Any]]:
    """All instances, once all are over."""
    for row in (await up.api("/instances"))["data"]:
        status, document = await up.call("POST", f"/api/v1/instances/{row['id']}/recycle", {})
        assert status in (200, 201, 202), document
    until_s = time.monotonic() + within_s
    while True:
        rows: list[dict[str, Any]] = (await up.api("/recycles"))["data"]
        if all(row["ended_at"] is not None for row in rows):
            return rows
        assert time.monotonic() < until_s, [(row["state"], row["result"]) for row in rows]
        await asyncio.sleep(1.0)


async def test_where_sessions_can_be_handed_over_no_request_fails() -> None:
    async with supervised(instances=4) as (up, supervisor):
        async with load(up):
            await asyncio.sleep(EVERY_S)
            rows = await recycled(up, within_s=400)
            await asyncio.sleep(EVERY_S)
        assert [row["state"] for row in rows] == ["done"] * 4
        assert [each["sessions_left"] for each in supervisor.told] == [0] * 4
        failed = [each for each in up.answered if each.status != 200]
        assert failed == [], (len(failed), len(up.answered), failed[0].document)
        assert len(up.answered) > 300
        assert up.lost_and_doubled() == (0, 0)


async def opened_at(up: Fleet, url: str) -> dict[str, float]:
    """When each session came up on a gateway that lists those that are open, asked over and over until cancelled."""
    found: dict[str, float] = {}
    headers = {"X-Api-Key": up.demo.secrets.instance_api_key}
    while len(found) < len(up.on(url)):
        reply = await up.wire.call("GET", url, "/api/sessions", headers=headers, timeout_s=2)
        for row in [] if isinstance(reply, Fault) else json.loads(reply.body):
            if row["status"] == "WORKING":
                found.setdefault(row["name"], time.monotonic())
        await asyncio.sleep(0.2)
    return found


async def test_where_they_cannot_those_announced_are_away_and_come_back_at_their_gateways_rate() -> None:
    """WAHA opens nothing by itself when it begins anew: what it lost is started, six a minute."""
    settings = {"HOMING_SEND_DEADLINE": "3"}
    fleet: dict[str, Any] = {"families": ("webjs", "waha"), "accounts": 16, "restarts_empty": True}
    async with supervised(settings=settings, **fleet) as (up, supervisor):
        _, theirs = up.demo.instances
        stay = {each.session_id for each in up.on(theirs)}
        assert len(stay) == 8
        number = next(row["id"] for row in (await up.api("/instances"))["data"] if row["url"] == theirs)
        async with load(up):
            await asyncio.sleep(EVERY_S)
            refused_status, refused = await up.call("POST", f"/api/v1/instances/{number}/recycle", {})
            assert refused_status in (200, 201, 202), refused
            over = await ended(up, 1, within_s=60)
            assert (over[0]["state"], supervisor.told) == ("failed", []), "nobody said that they may be away"
            status, document = await up.call("POST", f"/api/v1/instances/{number}/recycle", {"with_gap": True})
            assert status in (200, 201, 202), document
            while len(supervisor.away.get(theirs, ())) < 2:  # noqa: ASYNC110 - its process is begun by another task
                await asyncio.sleep(0.05)
            async with asyncio.timeout(180):
                up_at = await opened_at(up, theirs)
            await ended(up, 2, within_s=60)
            await asyncio.sleep(EVERY_S + 2)
        [told] = supervisor.told
        assert told["sessions_left"] == len(stay), "what is announced is what was away"
        assert up_at.keys() == stay
        came = sorted(up_at.values())
        began_s, process_up_s = supervisor.away[theirs]
        windows = [sum(at <= other < at + 58.0 for other in came) for at in came]
        assert max(windows) <= 6, [round(at - process_up_s, 1) for at in came]
        assert came[5] - process_up_s < 45.0, "the first six come at once"
        assert came[-1] - came[0] < 90.0
        failed = [each for each in up.answered if each.status != 200]
        assert {each.session_id for each in failed} <= stay, "nobody else notices"
        early = [each for each in failed if each.at_s < began_s]
        late = [each for each in failed if each.at_s - each.took_s > up_at[each.session_id] + 5.0]
        assert (early, late) == ([], []), "nor do they before it, or once they are back"
        assert failed, "the gap is there"
        assert up.lost_and_doubled() == (0, 0)


async def ended(up: Fleet, count: int, *, within_s: float) -> list[dict[str, Any]]:
    """So many recycles, once all of them are over; the newest first."""
    until_s = time.monotonic() + within_s
    while True:
        rows: list[dict[str, Any]] = (await up.api("/recycles"))["data"]
        if len(rows) == count and all(row["ended_at"] is not None for row in rows):
            return rows
        assert time.monotonic() < until_s, [(row["state"], row["result"]) for row in rows]
        await asyncio.sleep(0.5)

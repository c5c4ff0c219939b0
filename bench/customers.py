"""Telling customers: what a dead or silent server costs the others, and how soon a hundred thousand are told again."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from statistics import median
from typing import Any

from aiohttp import web

from bench.fleet import Fleet, free_ports
from bench.report import Report, Spread, shown
from homing.model.deliveries.deliveries import Fact
from homing.model.fleet import SessionId, WorkspaceId
from homing.store.db.opening import open_database
from homing.store.deliveries.telling import append
from homing.store.notices.announce import Changes
from homing.store.notices.opening import open_notices

CUSTOMERS = 10
ILL = 2
"""Of them: one whose port nobody listens on, and one who takes every request and answers none."""
EVENTS_PER_S = 200
SLOWER, SLOWER_S = 1.2, 0.005
REPLAYED_WITHIN_S = 600.0
FIRST_WORKSPACE = 100
_APPENDED = 500


@dataclass
class Servers:
    """All customers' servers, on one port: who is told what, and when."""

    url: str = ""
    told: dict[str, float] = field(default_factory=dict)
    happened: dict[str, float] = field(default_factory=dict)
    again: int = 0
    deaf: asyncio.Event = field(default_factory=asyncio.Event)

    async def healthy(self, request: web.Request) -> web.Response:
        await request.read()
        self.again += 1
        self.told.setdefault(request.headers["webhook-id"], time.monotonic())
        return web.Response()

    async def silent(self, _: web.Request) -> web.Response:
        await self.deaf.wait()
        return web.Response()


async def run(up: Fleet, *, rounds: int, round_s: float) -> Report:
    """Pairs of rounds: all customers well, and two of ten ill."""
    report = Report(f"Telling {CUSTOMERS} customers {EVENTS_PER_S} events a second, {ILL} of them dead or silent")
    well: list[list[float]] = []
    beside_ill: list[list[float]] = []
    async with _servers() as servers, _happening(up) as happen:
        for number in range(rounds):
            for ill, times in ((False, well), (True, beside_ill)):
                endpoints = [await _endpoint(up, servers, each, ill=ill) for each in range(CUSTOMERS)]
                times.append(await _round(servers, happen, round_s, f"{number}-{ill}"))
                for each in endpoints:
                    await up.call("DELETE", f"/api/v1/endpoints/{each}")
        servers.deaf.set()
    report.add("told, with all well", "", Spread([each for some in well for each in some]))
    report.add("told, beside the ill", "", Spread([each for some in beside_ill for each in some]))
    p99s = [(Spread(one).at(0.99), Spread(other).at(0.99)) for one, other in zip(well, beside_ill, strict=True)]
    ratio = median(other / one for one, other in p99s)
    later_s = median(other - one for one, other in p99s)
    claim = f"≤ {SLOWER}× or +{shown(SLOWER_S)}"
    measured = f"{ratio:.2f}×, {later_s * 1000:+.1f} ms (median of {rounds})"
    report.add("p99 of the healthy, beside the ill", claim, measured, ratio <= SLOWER or later_s <= SLOWER_S)
    return report


async def run_replay(up: Fleet, *, events: int) -> Report:
    """All events of a customer who was not there, told at his wish."""
    report = Report(f"Telling {events:,} events once more")
    async with _servers() as servers, _happening(up) as happen:
        began = datetime.now(UTC)
        endpoint = await _endpoint(up, servers, 0, ill=False)
        await up.call("PATCH", f"/api/v1/endpoints/{endpoint}", {"state": "disabled"})
        for first in range(0, events, _APPENDED):
            await happen([(FIRST_WORKSPACE, f"replay-{n}") for n in range(first, min(events, first + _APPENDED))])
        await up.call("PATCH", f"/api/v1/endpoints/{endpoint}", {"state": "enabled"})
        began_s = time.monotonic()
        asked = {"endpoint_id": endpoint, "since": began.isoformat()}
        status, document = await up.call("POST", "/api/v1/deliveries/replay", asked)
        assert status in (0, 202), document
        async with asyncio.timeout(2 * REPLAYED_WITHIN_S):
            while len(servers.told) < events:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.2)
        took_s = time.monotonic() - began_s
    kept = took_s <= REPLAYED_WITHIN_S * events / 100_000
    claim = f"≤ {REPLAYED_WITHIN_S * events / 100_000:.0f} s"
    report.add("all told", claim, f"{took_s:.0f} s, {events / took_s:,.0f}/s", kept)
    report.add("told more than once", "", f"{servers.again - events:,}")
    return report


async def _round(servers: Servers, happen: Any, round_s: float, named: str) -> list[float]:
    """The times from what happened to its being told, of the customers who are well in every round."""
    servers.told.clear()
    servers.happened.clear()
    began_s, number = time.monotonic(), count()
    healthy: list[str] = []
    while (at_s := time.monotonic() - began_s) < round_s:
        due = int(at_s * EVENTS_PER_S) - len(servers.happened)
        made = [(next(number) % CUSTOMERS, f"{named}-{len(servers.happened) + each}") for each in range(due)]
        servers.happened.update({event: time.monotonic() for _, event in made})
        healthy += [event for customer, event in made if customer >= ILL]
        if made:
            await happen([(FIRST_WORKSPACE + customer, event) for customer, event in made])
        await asyncio.sleep(0.05)
    async with asyncio.timeout(120):
        while any(event not in servers.told for event in healthy):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.1)
    return [servers.told[event] - servers.happened[event] for event in healthy]


async def _endpoint(up: Fleet, servers: Servers, customer: int, *, ill: bool) -> str:
    workspace = FIRST_WORKSPACE + customer
    phone = f"+62813{workspace:07d}"
    await up.call("POST", "/api/v1/accounts", {"workspace_id": workspace, "phone": phone, "start": False})
    url = f"{servers.url}/healthy"
    if ill and customer < ILL:
        url = f"http://127.0.0.1:{free_ports(1)}/" if customer == 0 else f"{servers.url}/silent"
    status, made = await up.call("POST", "/api/v1/endpoints", {"workspace_id": workspace, "url": url})
    assert status == 201, made
    return str(made["id"])


@asynccontextmanager
async def _happening(up: Fleet) -> AsyncIterator[Any]:
    """What happens, written as gateways write it, past them: in one transaction with whom it is to be told."""
    database = open_database(up.demo.database_url)
    notices = await open_notices(database, up.demo.database_url)
    changes = Changes(database, notices)

    async def happen(told: Sequence[tuple[int, str]]) -> None:
        facts = [
            Fact(
                id=event,
                kind="message_received",
                workspace_id=WorkspaceId(workspace),
                at=datetime.now(UTC),
                payload={"message": {"id": event, "from": f"62811{number % 50:05d}@c.us", "body": "hello"}},
                session_id=SessionId(f"customer-{workspace}"),
            )
            for number, (workspace, event) in enumerate(told)
        ]
        await changes.make(lambda c: (None, append(c, database, facts)))

    try:
        yield happen
    finally:
        await notices.close()
        await database.close()


@asynccontextmanager
async def _servers() -> AsyncIterator[Servers]:
    servers = Servers()
    app = web.Application()
    app.add_routes([web.post("/healthy", servers.healthy), web.post("/silent", servers.silent)])
    runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    servers.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield servers
    finally:
        servers.deaf.set()
        await runner.cleanup()

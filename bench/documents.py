"""Large documents, many at once, out and in: what gateway and instances hold in memory meanwhile."""

import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from bench.fleet import SEND, Fleet
from bench.report import Report
from simulated_whatsapp.client import Administration

MIB = 1024 * 1024
ABOVE_IDLE_MIB = 200.0
_HEAD = b"%PDF-1.7\n"
_PIECE = bytes(256 * 1024)


async def run(up: Fleet, *, documents: int, mib: int) -> Report:
    """All asked for at the same moment, each by its URL."""
    report = Report(f"{documents} documents of {mib} MiB at once")
    pid = next(iter(up.demo.gateways.values())).process.pid
    async with _served(mib * MIB) as url:
        await _sent(up, f"{url}/warm", 0)
        idle = _held_mib(pid)
        most = [idle]
        watching = asyncio.create_task(_watch(pid, most))
        answers = await asyncio.gather(*(_sent(up, f"{url}/{number}", number) for number in range(documents)))
        watching.cancel()
    above = max(most) - idle
    rest = Counter(status for status in answers if status != 200)
    others = "".join(f", {number} {status or 'not in time'}" for status, number in sorted(rest.items()))
    sent = answers.count(200)
    report.add("answered 200", str(documents), f"{sent}{others}", sent == documents)
    claim, measured = f"≤ {ABOVE_IDLE_MIB:g} MiB", f"{above:.0f} MiB above {idle:.0f} MiB"
    report.add("the gateway's memory", claim, measured, above <= ABOVE_IDLE_MIB)
    return report


async def run_inbound(up: Fleet, *, documents: int, mib: int) -> Report:
    """As many phones send one each; then every link is followed at the same moment, and again where it is told to."""
    report = Report(f"{documents} documents of {mib} MiB that came in, read at once")
    gateway, instances = next(iter(up.demo.gateways.values())), list(up.demo.instances.values())
    data = _HEAD + os.urandom(mib * MIB - len(_HEAD))
    links = await _links(up, data, documents)
    pids = [gateway.process.pid, *(each.process.pid for each in instances)]
    idle = [_held_mib(pid) for pid in pids]
    most = [[each] for each in idle]
    watching = [asyncio.create_task(_watch(pid, seen)) for pid, seen in zip(pids, most, strict=True)]
    began_s = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        reads = await asyncio.gather(*(_read(http, link) for link in links))
    took_s = time.monotonic() - began_s
    for each in watching:
        each.cancel()
    whole = sum(sha256 == hashlib.sha256(data).hexdigest() for sha256, _ in reads)
    report.add("read whole", str(documents), str(whole), whole == documents)
    report.add("MiB/s, every process on this machine", "", f"{documents * mib / took_s:.0f}")
    report.add("told to come again", "", str(sum(again for _, again in reads)))
    above = [max(seen) - before for seen, before in zip(most, idle, strict=True)]
    claim = f"≤ {ABOVE_IDLE_MIB:g} MiB"
    measured = f"{above[0]:.0f} MiB above {idle[0]:.0f} MiB"
    report.add("the gateway's memory", claim, measured, above[0] <= ABOVE_IDLE_MIB)
    report.add("an instance's memory, the most", claim, f"{max(above[1:]):.0f} MiB", max(above[1:]) <= ABOVE_IDLE_MIB)
    return report


async def _links(up: Fleet, data: bytes, documents: int) -> list[str]:
    """Where the customer reads them."""
    async with Administration(up.demo.whatsapp_address) as whatsapp:
        file = await whatsapp.keep(data, "application/pdf", "large.pdf")
        for number in range(documents):
            await whatsapp.deliver(up.residents[number % len(up.residents)].session_id, "62899", "look", file)
    async with asyncio.timeout(60):
        while True:
            told = (await up.api("/events?kind=message_received&limit=200"))["data"]
            if len(told) >= documents:
                return [up.gateways[0] + urlsplit(each["payload"]["message"]["media"]["url"]).path for each in told]
            await asyncio.sleep(0.2)


async def _read(http: aiohttp.ClientSession, link: str) -> tuple[str, int]:
    """The SHA-256 of what was read, and how often it was told to come again."""
    for again in range(100):
        async with http.get(link) as answer:
            if answer.status == 200:
                sha256 = hashlib.sha256()
                async for piece in answer.content.iter_chunked(256 * 1024):
                    sha256.update(piece)
                return sha256.hexdigest(), again
            wait_s = float(answer.headers.get("Retry-After", "5"))
        await asyncio.sleep(wait_s)
    return "", 100


async def _sent(up: Fleet, url: str, number: int) -> int:
    sender = up.residents[number % len(up.residents)]
    body = {
        "workspace_id": sender.workspace_id,
        "account_uuid": sender.uuid,
        "phone": f"+62814{number:07d}",
        "type": "document",
        "media_url": url,
        "file_name": "large.pdf",
    }
    for _ in range(20):
        status, _ = await up.call("POST", SEND, body, key=url)
        if status not in (0, 409, 503):
            return status
        await asyncio.sleep(3.0)
    return 0


def _held_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / MIB


async def _watch(pid: int, most: list[float]) -> None:
    while True:
        most.append(_held_mib(pid))
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _served(size: int) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        await response.write(_HEAD)
        left = size - len(_HEAD)
        while left > 0:
            await response.write(_PIECE[:left])
            left -= len(_PIECE)
        return response

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

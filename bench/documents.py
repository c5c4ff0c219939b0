"""Large documents, many at once: what the gateway holds in memory meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bench.fleet import SEND, Fleet
from bench.report import Report

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
    report.add("answered 200", str(documents), str(answers.count(200)), answers.count(200) == documents)
    claim, measured = f"≤ {ABOVE_IDLE_MIB:g} MiB", f"{above:.0f} MiB above {idle:.0f} MiB"
    report.add("the gateway's memory", claim, measured, above <= ABOVE_IDLE_MIB)
    return report


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

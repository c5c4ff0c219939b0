"""How long does everybody else wait while one asks for something big? The longest pause of the loop during each."""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.model_fleet import open_model_fleet, populate
from bench.report import Report, shown
from homing.compose import Gateway, open_gateway
from homing.compose.process import spare_what_stays
from homing.config import Settings
from homing.drivers.webjs.reports import signature
from homing.model.directory.access import Scope
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key

WITHIN_S = 0.05
REPEATS = 3
SECRET, SHARED_KEY = "secret", "shared"
_TICK_S = 0.001
_REPORT_BYTES = 8_000_000

Work = Callable[[], Awaitable[None]]


async def run(url: str, *, instances: int, sessions: int) -> Report:
    """Each thing is done a few times over, and the best counts: what a neighbour takes of the machine is not ours."""
    report = Report(
        f"The loop's longest pause while something big is done: {sessions:,} sessions, {instances} instances"
    )
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        async with open_model_fleet(Path(folder), instances, sessions, wrong_per_mille=10) as layout:
            await populate(url, layout)
            async with _gateway(url) as gateway:
                asker = await Asker.of(gateway)
                for name, work in _works(asker, layout.urls[0].rpartition(":")[2]).items():
                    pause_s, took_s = await _longest_pause(work)
                    kept = pause_s <= WITHIN_S
                    report.add(name, f"≤ {shown(WITHIN_S)}", f"{shown(pause_s)} of {shown(took_s)}", kept)
    return report


def _works(asker: "Asker", port: str) -> Mapping[str, Work]:
    text = _report({"body": "x" * _REPORT_BYTES})
    parts = _report({"parts": [{"id": number, "name": f"part {number}"} for number in range(_REPORT_BYTES // 40)]})
    numbers = _report({"numbers": list(range(_REPORT_BYTES // 8))})
    active = f"/in/localhost:{port}/api/whatsapp/accounts/active"
    return {
        "nothing": lambda: asyncio.sleep(1.0),
        "a report of 8 MB, one text": lambda: asker.report(text),
        "a report of 8 MB, many parts": lambda: asker.report(parts),
        "a report of 8 MB, many numbers": lambda: asker.report(numbers),
        "a sync": lambda: asker.ask("POST", "/api/v1/sync", b'{"dry_run": true}'),
        "a plan to rebalance": lambda: asker.ask("POST", "/api/v1/rebalance", b'{"dry_run": true}'),
        "what an instance should run": lambda: asker.ask("GET", active, key_header=True),
        "the distribution": lambda: asker.ask("GET", "/api/v1/distribution"),
        "starting what is lost": lambda: asker.ask("POST", "/api/v1/accounts/start", b""),
        "a page of events": lambda: asker.ask("GET", "/api/v1/events?limit=500"),
        "a page of accounts": lambda: asker.ask("GET", "/api/v1/accounts?limit=500"),
        "the figures": lambda: asker.ask("GET", "/metrics"),
    }


def _report(data: Mapping[str, Any]) -> bytes:
    return json.dumps({"event": "message_received", "data": {"session_id": "webjs_1_0", **data}}).encode()


@asynccontextmanager
async def _gateway(url: str) -> AsyncIterator[Gateway]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=url,
        instances=(),
        whatsapp_hmac_secret=SECRET,
        whatsapp_api_key=SHARED_KEY,
    )
    async with open_gateway(settings) as gateway:
        spare_what_stays()
        yield gateway


async def _longest_pause(work: Work) -> tuple[float, float]:
    """The loop's longest pause while the work is done, of the best of a few times; and how long that took."""
    await work()
    return min([await _measured(work) for _ in range(REPEATS)])


async def _measured(work: Work) -> tuple[float, float]:
    pauses = [0.0]

    async def tick() -> None:
        last_s = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.perf_counter()
            pauses.append(now_s - last_s - _TICK_S)
            last_s = now_s

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    began_s = time.perf_counter()
    await work()
    took_s = time.perf_counter() - began_s
    await asyncio.sleep(0.01)
    ticking.cancel()
    return max(pauses), took_s


class Asker:
    """Asks the application as a server does, without a wire and without a client's own work."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self._app, self._key = Application(gateway), key

    @classmethod
    async def of(cls, gateway: Gateway) -> "Asker":
        key, secret = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="bench")
        await gateway.stores.directory.add_key(key)
        await gateway.keyring.refresh()
        return cls(gateway, secret)

    async def report(self, body: bytes) -> None:
        timestamp = str(int(time.time()))
        signed = {"x-timestamp": timestamp, "x-hmac-signature": await asyncio.to_thread(_signed, timestamp, body)}
        await self._call("POST", "/api/whatsapp/webhooks/webjs", body, signed)

    async def ask(self, method: str, path: str, body: bytes = b"", *, key_header: bool = False) -> None:
        shown_key = {"x-api-key": SHARED_KEY} if key_header else {"authorization": f"Bearer {self._key}"}
        await self._call(method, path, body, {**shown_key, "content-type": "application/json"})

    async def _call(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> None:
        path, _, query = target.partition("?")
        sent = [(name.encode(), value.encode()) for name, value in {**headers, "host": "homing"}.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [*sent, (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("homing", 80),
        }
        statuses: list[int] = []
        over = asyncio.Event()

        async def receive() -> Any:
            if over.is_set():
                await asyncio.sleep(3600)
            over.set()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._app(scope, receive, send)
        if statuses[0] >= 300 and statuses[0] != 429:  # a report that takes long is asked for again
            raise RuntimeError(f"{method} {target} was answered with {statuses[0]}")


def _signed(timestamp: str, body: bytes) -> str:
    return signature(SECRET.encode(), timestamp, body)

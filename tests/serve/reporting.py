"""Instances that report to the API, and watchers of its stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from homing.drivers.webjs import reports as signing
from homing.ports import Notice, PlacementChanged
from homing.serve.app import Application
from tests.serve.conftest import Api

WEBHOOK = "/api/whatsapp/webhooks/webjs"
PATIENCE_S = 5.0
BEGINS_WITHIN_S = 30.0
"""Two gateways that were just opened take all of a database's connections, one after the other, before any is free."""


async def report(
    api: Api,
    body: Any,
    *,
    path: str = WEBHOOK,
    url: str | None = None,
    skew_s: float = 0,
    secret: bytes = b"secret",
    tampered: bytes | None = None,
    **headers: str,
) -> httpx.Response:
    """A report as an instance sends it: signed, with its own address if it gives one."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    timestamp = str(int(time.time() + skew_s))
    sent = {"X-Timestamp": timestamp, "X-HMAC-Signature": signing.signature(secret, timestamp, raw)}
    sent |= {"X-Instance-Url": url} if url is not None else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.client.post(path, content=raw if tampered is None else tampered, headers=sent)


def told(kind: str, session_id: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "data": {"workspace_id": 1, "session_id": session_id, **data}}


async def figures(api: Api, name: str) -> dict[str, float]:
    """The values of one metric, by its labels."""
    lines = (await api.client.get("/metrics")).text.splitlines()
    return {
        line.split(" ")[0].removeprefix(name).strip("{}"): float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith((f"{name}{{", f"{name} "))
    }


@asynccontextmanager
async def until(api: Api, wanted: Callable[[Notice], bool]) -> AsyncIterator[None]:
    """Leaves the block once a notice like this was given since it was entered."""
    heard = asyncio.Event()
    api.gateway.stores.notices.subscribe(lambda notice: heard.set() if wanted(notice) else None)
    yield
    async with asyncio.timeout(PATIENCE_S):
        await heard.wait()


def moved(session_id: str) -> Callable[[Notice], bool]:
    return lambda notice: isinstance(notice, PlacementChanged) and notice.session_id == session_id


class Watcher:
    """One open stream."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {}
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone, self._ended, self._answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._asked = False
        self._unread = b""

    async def status(self) -> int:
        """What was answered, as soon as that is known."""
        await self._answered.wait()
        return int(self.head["status"])

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.head = message
            self._answered.set()
        else:
            self._chunks.put_nowait(message.get("body", b""))
            if not message.get("more_body", False):
                self._ended.set()

    async def block(self, within_s: float = PATIENCE_S) -> str:
        """The next block of the stream, whatever it is."""
        async with asyncio.timeout(within_s):
            while b"\n\n" not in self._unread:
                self._unread += await self._chunks.get()
        block, self._unread = self._unread.split(b"\n\n", 1)
        return block.decode()

    async def event(self) -> tuple[int, dict[str, Any]]:
        """The next event: its number and what it says."""
        while True:
            lines = dict(line.split(": ", 1) for line in (await self.block()).splitlines() if not line.startswith(":"))
            if "id" in lines:
                return int(lines["id"]), json.loads(lines["data"])

    async def until_ended(self) -> None:
        """Returns once the stream was closed from the other side."""
        async with asyncio.timeout(PATIENCE_S):
            await self._ended.wait()

    def leave(self) -> None:
        self._gone.set()


@asynccontextmanager
async def watching(api: Api, query: str = "", *, key: str = "reader", **headers: str) -> AsyncIterator[Watcher]:
    """A watcher who has been let in."""
    sent = {"accept": "text/event-stream", "authorization": f"Bearer {api.keys[key]}", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/events",
        "raw_path": b"/api/v1/events",
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
        "client": ("test", 1),
        "server": ("homing", 80),
        "state": {},
    }
    watcher, serving = await _let_in(api, scope)
    try:
        assert "retry" in await watcher.block(BEGINS_WITHIN_S)
        yield watcher
    finally:
        watcher.leave()
        async with asyncio.timeout(PATIENCE_S):
            await serving


async def _let_in(api: Api, scope: dict[str, Any]) -> tuple[Watcher, "asyncio.Task[None]"]:
    """Asked again while the gateway has no connection to its database to spare, as clients of streams do."""
    application: Any = Application(api.gateway)
    async with asyncio.timeout(BEGINS_WITHIN_S):
        while True:
            watcher = Watcher()
            serving = asyncio.create_task(application(scope, watcher.receive, watcher.send))
            if await watcher.status() != 503:
                assert watcher.head["status"] == 200, watcher.head
                return watcher, serving
            await serving
            await asyncio.sleep(0.1)

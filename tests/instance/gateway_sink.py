"""A gateway that answers notifications as a test scripts it, over real TCP."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Step = int | tuple[int, dict[str, str]] | str
"""A status, a status with headers, or what a bad gateway does: ``hang`` or ``drop``."""


@dataclass(frozen=True)
class Arrival:
    """One attempt as it reached the gateway."""

    raw: bytes
    headers: dict[str, str]

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def session(self) -> str:
        return self.told["data"]["session_id"]


@dataclass
class Sink:
    """``answer`` chooses what to do with an arrival; ``script`` comes first, step by step."""

    answer: Callable[[Arrival], Step] = lambda _: 200
    script: list[Step] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    accepted: list[Arrival] = field(default_factory=list)
    placed: list[dict[str, Any]] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    at_once_max: int = 0
    port: int = 0
    _at_once: int = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/whatsapp/webhooks/webjs", self._take)
        app.router.add_get("/api/whatsapp/accounts/active", self._list)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def words(self, session: str | None = None) -> list[str]:
        """The event words of what was accepted, in order."""
        return [each.told["event"] for each in self.accepted if session in (None, each.session)]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        arrival = Arrival(await request.read(), dict(request.headers))
        self.arrivals.append(arrival)
        self._at_once += 1
        self.at_once_max = max(self.at_once_max, self._at_once)
        try:
            return await self._do(self.script.pop(0) if self.script else self.answer(arrival), arrival, request)
        finally:
            self._at_once -= 1

    async def _do(self, step: Step, arrival: Arrival, request: web.Request) -> web.StreamResponse:
        if step == "hang":
            await asyncio.sleep(30)
        if step == "drop":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, headers = step if isinstance(step, tuple) else (int(step), {})
        if status == 200:
            await asyncio.sleep(0.001)
            self.accepted.append(arrival)
        return web.json_response({"success": status == 200}, status=status, headers=headers)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        if self.placed is None:
            return web.json_response({"error": "no"}, status=500)
        return web.json_response({"success": True, "sessions": self.placed})

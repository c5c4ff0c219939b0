"""What answers at the door before the gateway is open, hands everything on from then on, and says when it leaves."""

from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

import homing
from homing.model.errors import Code, Problem
from homing.serve.http import problems
from homing.serve.http.send_protocol import DirectSends

_RETRY_AFTER_S = 2
PROBES = frozenset({"/health", "/ready", "/metrics"})
"""What balancers and monitors ask, some of them with HEAD."""


class Front:
    """An ASGI application: alive from the start, ready when `opened` has told it who answers, until it `leaves`."""

    def __init__(self) -> None:
        self._behind: ASGIApp | None = None
        self.direct: DirectSends | None = None
        """What answers sends without coming through here, while everything is as usual."""
        self._leaving = False
        self._waits_for = "the gateway is starting"

    @property
    def is_open(self) -> bool:
        return self._behind is not None

    def waits(self, reason: str) -> None:
        """Why nobody answers yet."""
        self._waits_for = reason

    def opened(self, application: ASGIApp, direct: DirectSends | None = None) -> None:
        """From now on this one answers, and `direct` the sends."""
        self._behind, self.direct = application, direct

    def leaves(self) -> bool:
        """Not ready from now on, though everything is served on; whether it was serving at all."""
        self._leaving, self.direct = True, None
        return self.is_open

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._leaving:
            send = _closing(send)
        if scope["method"] == "HEAD" and scope["path"] in PROBES:
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if self._behind is None or (self._leaving and scope["path"] == "/ready"):
            await self._answer(scope, send)
        else:
            await self._behind(scope, receive, send)

    async def _answer(self, scope: Any, send: Send) -> None:
        status, document, headers = self._document(scope["path"])
        body = msgspec.json.encode(document)
        told = {"content-length": str(len(body)), **headers}
        lines: list[Any] = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _document(self, path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        plain = {"content-type": "application/json"}
        if path == "/health":
            return 200, {"status": "healthy", "version": homing.__version__}, plain
        if path == "/ready" and self._leaving:
            return 503, {"status": "stopping", "detail": "this gateway was told to end; ask another one"}, plain
        if path == "/ready":
            again = problems.retry_after(503, _RETRY_AFTER_S)
            return 503, {"status": "starting", "detail": self._waits_for}, plain | again
        said = f"The gateway is starting and waits for its directory: {self._waits_for}"
        problem = Problem(Code.DIRECTORY_UNAVAILABLE, said, retry_after_s=_RETRY_AFTER_S)
        headers = {**problems.headers(problem), "content-type": problems.PROBLEM_JSON}
        return problems.STATUS[problem.code], dict(problems.document(problem, success=False)), headers


def _closing(send: Send) -> Send:
    """The connection ends with the answer, so that its next request goes where somebody stays."""

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [each for each in message.get("headers", []) if each[0].lower() != b"connection"]
            message = {**message, "headers": [*kept, (b"connection", b"close")]}
        await send(message)

    return sent


def _without_body(send: Send) -> Send:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sent

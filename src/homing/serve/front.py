"""What answers at the door before the gateway is open, and hands everything on from then on."""

from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

import homing
from homing.model.errors import Code, Problem
from homing.serve import problems

_RETRY_AFTER_S = 2


class Front:
    """An ASGI application: alive from the start, ready when `opened` has told it who answers."""

    def __init__(self) -> None:
        self._behind: ASGIApp | None = None
        self._waits_for = "the gateway is starting"

    @property
    def is_open(self) -> bool:
        return self._behind is not None

    def waits(self, reason: str) -> None:
        """Why nobody answers yet."""
        self._waits_for = reason

    def opened(self, application: ASGIApp) -> None:
        """From now on this one answers."""
        self._behind = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if self._behind is not None:
            await self._behind(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, send)

    async def _answer(self, scope: Any, send: Send) -> None:
        status, document, headers = self._document(scope["path"])
        body = msgspec.json.encode(document)
        told = {"content-length": str(len(body)), **headers}
        lines: list[Any] = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown, "more_body": False})

    def _document(self, path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        plain = {"content-type": "application/json"}
        if path == "/health":
            return 200, {"status": "healthy", "version": homing.__version__}, plain
        if path == "/ready":
            again = problems.retry_after(503, _RETRY_AFTER_S)
            return 503, {"status": "starting", "detail": self._waits_for}, plain | again
        said = f"The gateway is starting and waits for its directory: {self._waits_for}"
        problem = Problem(Code.DIRECTORY_UNAVAILABLE, said, retry_after_s=_RETRY_AFTER_S)
        headers = {**problems.headers(problem), "content-type": problems.PROBLEM_JSON}
        return problems.STATUS[problem.code], dict(problems.document(problem, success=False)), headers

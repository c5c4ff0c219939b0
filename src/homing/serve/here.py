"""The API answered in this process, for a command that has the stores open and no gateway to ask.

It is the same API: the same checks, views and refusals. Nothing is listening, and who asks is whoever runs the command.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from homing.model.directory.access import Key, Scope
from homing.serve.app import framework
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.paths import whole_names


class ApiHere:
    """Answers as an operator's request to `gateway` would be answered, under the act that is being carried out."""

    def __init__(self, gateway: Gateway) -> None:
        whoever_runs_it = Key("here", None, Scope.ADMIN, "this command", "", gateway.clock.now())
        self._app: Final = framework(gateway, here=Caller(whoever_runs_it))

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """The status and the document of a request; `path` is below /api/v1, with its query."""
        parts = urlsplit("/api/v1" + path)
        sent = b"" if body is None else msgspec.json.encode(body)
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(sent)).encode())],
            "client": None,
            "server": None,
        }
        return await _answer(self._app, dict(whole_names(scope)), sent)


async def _answer(app: Any, scope: dict[str, Any], sent: bytes) -> tuple[int, bytes]:
    status, parts = 500, []
    given = iter(({"type": "http.request", "body": sent, "more_body": False},))

    async def receive() -> dict[str, Any]:
        return next(given, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(parts)

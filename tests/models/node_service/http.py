"""The service's HTTP side (routes/index.js, controllers/*.js): its paths, its answers, the order in which it checks."""

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.models.node_service.faults import Faults
from tests.models.node_service.sessions import EngineError, NotConnected, NotHeld, Sessions, moment

ENDPOINTS = [
    *("/health", "/health/detailed", "/health/ready", "/health/live", "/health/metrics", "/api/sessions"),
    *("/api/messages/send", "/api/messages/send-media", "/api/messages/bulk-send"),
]
_BAD_REQUEST = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n'
    "<body>\n<pre>Bad Request</pre>\n</body>\n</html>\n"
)
_NO_PACKAGE = (
    "Cannot find module '../../../package.json'\nRequire stack:\n- /app/src/controllers/HealthController.js\n"
    "- /app/src/routes/index.js\n- /app/server.js"
)
_ENGINE_SAYS = {
    "engine throws": "Protocol error (Runtime.callFunctionOn): Target closed.",
    "engine sent, then throws": "Evaluation failed: Error: t",
    "engine dead": "Protocol error (Runtime.callFunctionOn): Session closed. Most likely the page has been closed.",
}
"""Texts that make the engine fail, as the recording's stub had them. `hangs` ends the process."""

Json = dict[str, Any]
Answered = tuple[int, Json]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service reads from its environment, and how long a send may hang."""

    api_key: str
    backend: str
    hang_kills_after_s: float = 45.0


class Service:
    """Answers callers."""

    def __init__(self, settings: Settings, sessions: Sessions, faults: Faults) -> None:
        self._settings, self._sessions, self._faults = settings, sessions, faults
        self._began = time.monotonic()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=50 * 1024 * 1024, middlewares=[self._unknown_paths])
        app.on_response_prepare.append(_as_express)
        session = "/api/sessions/{id}"
        app.add_routes(
            [
                web.get("/health", self._route("health", self._health, open_to_all=True)),
                web.get("/health/ready", self._route("health", self._ready, open_to_all=True)),
                web.get("/health/live", self._route("health", self._live, open_to_all=True)),
                web.get("/info", self._route("health", self._info, open_to_all=True)),
                web.get("/api/sessions", self._route("list", self._list)),
                web.post("/api/sessions", self._route("create", self._create)),
                web.get(f"{session}/status", self._route("status", self._status)),
                web.delete(session, self._route("stop", self._stop)),
                web.post(f"{session}/reconnect", self._route("reconnect", self._reconnect)),
                web.post(f"{session}/regenerate-qr", self._route("regenerate", self._regenerate)),
                web.get("/api/messages/{id}/validate", self._route("status", self._validate)),
                web.post("/api/messages/send", self._route("send", self._send)),
            ]
        )
        return app

    def _route(
        self, call: str, handler: Callable[[str, Json], Awaitable[Answered]], *, open_to_all: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if (refused := self._faults.refused.get(call)) is not None:
                return _json(refused, {"error": "Invalid API key" if refused in (401, 403) else "fault on demand"})
            try:
                body = json.loads(await request.text() or "{}") if request.method != "GET" else {}
            except ValueError:
                return web.Response(status=400, text=_BAD_REQUEST, content_type="text/html", charset="utf-8")
            key = request.query.get("api_key") if request.method == "GET" else body.get("api_key")
            if not open_to_all and key != self._settings.api_key:
                return _json(401, {"error": "Invalid API key"})
            # Express goes on with what it was asked when the caller hangs up.
            status, said = await asyncio.shield(asyncio.ensure_future(self._safely(handler, request, body)))
            await self._faults.hold_back(call)
            return _json(status, said)

        return answer

    async def _safely(
        self, handler: Callable[[str, Json], Awaitable[Answered]], request: web.Request, body: Json
    ) -> Answered:
        try:
            return await handler(request.match_info.get("id", ""), body)
        except NotHeld:
            return 404, {"error": "Session not found"}
        except NotConnected:
            return 400, {"error": "Session not connected. Please check session status."}
        except EngineError as error:
            return 500, {"error": str(error)}

    @web.middleware
    async def _unknown_paths(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            said = {"error": "Endpoint not found", "path": request.path, "method": request.method}
            return _json(404, {**said, "available_endpoints": ENDPOINTS, "timestamp": moment()})

    # --- health ---------------------------------------------------------------------------------------------

    async def _health(self, _id: str, _body: Json) -> Answered:
        connected, others = self._sessions.count(connected=True), self._sessions.count(connected=False)
        counts = {"total": connected + others, "connected": connected, "disconnected": others}
        return 200, {
            "status": "healthy",
            "uptime": round(time.monotonic() - self._began, 9),
            "sessions": counts,
            "memory": {"used": 17, "total": 32, "unit": "MB"},
            "timestamp": moment(),
        }

    async def _ready(self, _id: str, _body: Json) -> Answered:
        count = self._sessions.count(connected=True) + self._sessions.count(connected=False)
        configured = {"laravel_configured": bool(self._settings.backend), "api_key_configured": True}
        checks = {**configured, "active_sessions": count > 0, "session_count": count}
        return 200, {"ready": True, "timestamp": moment(), "checks": checks}

    async def _live(self, _id: str, _body: Json) -> Answered:
        """It never says that it is alive: the delay that it compares is an empty object."""
        uptime = round(time.monotonic() - self._began, 9)
        return 503, {"alive": False, "uptime": uptime, "event_loop_delay_ms": {}, "timestamp": moment()}

    async def _info(self, _id: str, _body: Json) -> Answered:
        return 500, {"error": _NO_PACKAGE, "timestamp": moment()}

    # --- sessions -------------------------------------------------------------------------------------------

    async def _list(self, _id: str, _body: Json) -> Answered:
        rows = self._sessions.rows()
        return 200, {"success": True, "sessions": rows, "total": len(rows)}

    async def _status(self, session_id: str, _body: Json) -> Answered:
        return 200, self._sessions.status(session_id)

    async def _create(self, _id: str, body: Json) -> Answered:
        return 200, await self._sessions.create(body["session_id"], body.get("workspace_id", 1))

    async def _stop(self, session_id: str, _body: Json) -> Answered:
        if await self._sessions.disconnect(session_id, by="stop"):
            return 200, {"success": True, "message": "Session disconnected successfully"}
        words = "Session already disconnected or not found in memory"
        return 200, {"success": True, "message": words, "alreadyDisconnected": True}

    async def _reconnect(self, session_id: str, body: Json) -> Answered:
        return 200, await self._sessions.again(session_id, body.get("workspace_id", 1), "reconnect")

    async def _regenerate(self, session_id: str, body: Json) -> Answered:
        """`qr_code` would be what createSession returns of it, which is nothing: the code comes as a report."""
        await self._sessions.again(session_id, body.get("workspace_id", 1), "regenerate-qr")
        return 200, {"expires_in": 300}

    async def _validate(self, session_id: str, _body: Json) -> Answered:
        held = self._sessions.status(session_id)
        can_send = held["status"] == "connected"
        words = "Session is ready to send messages" if can_send else "Session is not connected"
        about = {name: held[name] for name in ("last_activity", "phone_number")}
        checked = {"status": held["status"], "can_send": can_send, "is_healthy": can_send}
        return 200, {"success": True, "session_id": session_id, **checked, **about, "recommendations": [words]}

    # --- messages -------------------------------------------------------------------------------------------

    async def _send(self, _id: str, body: Json) -> Answered:
        required = ["session_id", "recipient_phone", "message"]
        if not all(body.get(name) for name in required):
            return 400, {"error": "Missing required fields", "required": required}
        session_id, phone, text = (str(body[name]) for name in required)
        if not re.fullmatch(r"\+?[\d\-()]+", phone.replace(" ", "")):
            return 400, {"error": "Invalid phone number format"}
        self._sessions.ready(session_id)
        if text == "hangs":
            await asyncio.sleep(self._settings.hang_kills_after_s)
            os._exit(1)
        if text == "engine sent, then throws":
            self._sessions.send(session_id, re.sub(r"\D", "", phone), text)
        if text in _ENGINE_SAYS:
            raise EngineError(_ENGINE_SAYS[text])
        message_id, at = self._sessions.send(session_id, re.sub(r"\D", "", phone), text)
        return 200, {"success": True, "message_id": message_id, "timestamp": at}


def _json(status: int, said: Json) -> web.Response:
    body = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8"})


async def _as_express(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Powered-By"] = "Express"
    response.headers["Connection"] = "keep-alive"
    response.headers.pop("Server", None)

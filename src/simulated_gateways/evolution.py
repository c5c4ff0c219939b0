"""Evolution API 2.3.6; `licensed = False` makes it a 2.4 whose licence was not activated."""

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, body_of, said


@dataclass
class Evolution(Model):
    licensed: bool = True
    root_hangs: bool = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._root),
            web.get("/health", self._health),
            web.get("/instance/fetchInstances", self._list),
            web.get("/instance/connectionState/{s}", self._state),
            web.get("/instance/connect/{s}", self._connect),
            web.post("/instance/create", self._create),
            web.post("/instance/restart/{s}", self._state),
            web.delete("/instance/logout/{s}", self._logout),
            web.post("/message/sendText/{s}", self._send),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        """Whether the instance exists is looked at before the key."""
        if request.path in ("/", "/health"):
            return None
        if not self.licensed:
            return said(503, {"code": "LICENSE_REQUIRED", "message": "Activate the license in the manager"})
        name = request.match_info.get("s")
        if name is not None and name not in self.sessions:
            return _error(404, "Not Found", [f'The "{name}" instance does not exist'])
        return None if request.headers.get("apikey") == self.key else _error(401, "Unauthorized", "Unauthorized")

    def _word(self, session: Session) -> str:
        if not session.open or session.removed:
            return "close"
        return "open" if session.up else "connecting"

    def _row(self, session: Session) -> dict[str, Any]:
        return {
            "name": session.name,
            "connectionStatus": self._word(session),
            "ownerJid": f"{session.phone}@s.whatsapp.net" if session.paired else None,
            "disconnectionReasonCode": 401 if session.removed else None,
            "token": "INSTANCE-TOKEN",
        }

    async def _root(self, request: web.Request) -> web.Response:
        if self.root_hangs:
            await asyncio.sleep(60)
        return said(200, {"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": "2.3.6"})

    async def _health(self, request: web.Request) -> web.Response:
        return said(200, {"status": "ok"}) if not self.licensed else _error(404, "Not Found", ["Cannot GET /health"])

    async def _list(self, request: web.Request) -> web.Response:
        name = request.query.get("instanceName")
        if name is not None and name not in self.sessions:
            return _error(404, "Not Found", [f'Instance "{name}" not found'])
        return said(200, [self._row(each) for each in self.sessions.values() if name in (None, each.name)])

    async def _state(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        return said(200, {"instance": {"instanceName": session.name, "state": self._word(session)}})

    async def _connect(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        if session.removed:
            session.removed, session.paired = False, False
        session.open = True
        if session.up:
            return await self._state(request)
        return said(200, {"pairingCode": None, "code": session.qr, "base64": "data:image/png;base64,", "count": 1})

    async def _create(self, request: web.Request) -> web.Response:
        name = (await body_of(request))["instanceName"]
        if name in self.sessions:
            return _error(403, "Forbidden", [f'This name "{name}" is already in use.'])
        self.add(name)
        instance = {"instanceName": name, "integration": "WHATSAPP-BAILEYS", "status": "connecting"}
        return said(201, {"instance": instance, "hash": "INSTANCE-TOKEN", "qrcode": {"code": f"2@code-of-{name}"}})

    async def _logout(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        session.open, session.paired = False, False
        return said(200, {"status": "SUCCESS", "error": False, "response": {"message": "Instance logged out"}})

    async def _send(self, request: web.Request) -> web.Response:
        session, told = self.sessions[request.match_info["s"]], await body_of(request)
        if told["number"].endswith("404"):
            gone = {"jid": f"{told['number']}@s.whatsapp.net", "exists": False, "number": told["number"]}
            return _error(400, "Bad Request", [gone])
        if not session.up:
            return _error(400, "Bad Request", ["Error: Connection Closed"])
        try:
            message_id = await self.engine(session, told["number"], told["text"])
        except EngineFailed as error:
            return _error(400, "Bad Request", [f"Error: {error}"])
        except EngineDead:
            return _error(500, "Internal Server Error", "Connection Closed")
        key = {"remoteJid": f"{told['number']}@s.whatsapp.net", "fromMe": True, "id": message_id}
        return said(201, {"key": key, "status": "PENDING", "messageTimestamp": 1796000393})


def _error(status: int, error: str, message: Any) -> web.Response:
    return said(status, {"status": status, "error": error, "response": {"message": message}})

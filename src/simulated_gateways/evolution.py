"""Evolution API 2.3.6; `licensed = False` makes it a 2.4 whose licence was not activated."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Told, body_of, said


@dataclass
class Evolution(Model):
    root_hangs: bool = False
    shows_tokens: bool = True
    """Its reports and its list hold the tokens of its sessions."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._root),
            web.get("/health", self._health),
            web.get("/instance/fetchInstances", self._list),
            web.get("/instance/connectionState/{s}", self._state),
            web.get("/instance/connect/{s}", self._connect),
            web.post("/instance/create", self._create),
            web.post("/instance/restart/{s}", self._restart),
            web.post("/proxy/set/{s}", self._proxy),
            web.get("/webhook/find/{s}", self._found),
            web.post("/webhook/set/{s}", self._set),
            web.delete("/instance/logout/{s}", self._logout),
            web.post("/message/sendText/{s}", self._send),
            web.post("/chat/whatsappNumbers/{s}", self._numbers),
            web.post("/chat/findMessages/{s}", self._messages),
            web.post("/chat/getBase64FromMediaMessage/{s}", self._file),
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
            "token": self.token_of(session.name) if self.shows_tokens else None,
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

    async def _restart(self, request: web.Request) -> web.Response:
        """Closes the connection, which is made anew at once."""
        self.goes_out(self.sessions[request.match_info["s"]])
        return await self._state(request)

    async def _proxy(self, request: web.Request) -> web.Response:
        """It goes out by it once, and refuses one that does not work."""
        told = await body_of(request)
        address = f"{told['host']}:{told['port']}"
        if address in self.proxies_down:
            return _error(400, "Bad Request", ["Invalid proxy"])
        self.sessions[request.match_info["s"]].proxy = address
        return said(201, told)

    async def _connect(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        if session.removed:
            session.removed, session.paired = False, False
        session.open = True
        self.goes_out(session)
        if session.up:
            return await self._state(request)
        return said(200, {"pairingCode": None, "code": session.qr, "base64": "data:image/png;base64,", "count": 1})

    async def _create(self, request: web.Request) -> web.Response:
        told = await body_of(request)
        name = told["instanceName"]
        if name in self.sessions:
            return _error(403, "Forbidden", [f'This name "{name}" is already in use.'])
        session = self.add(name)
        session.proxy = f"{told['proxyHost']}:{told['proxyPort']}" if "proxyHost" in told else None
        self.goes_out(session)
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

    async def _numbers(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        if not session.up or session.dead:
            return _error(500, "Internal Server Error", "Connection Closed")
        return said(200, [self._number(number) for number in (await body_of(request))["numbers"]])

    def _number(self, number: str) -> dict[str, Any]:
        found = self.whatsapp_has(number)
        return {"jid": f"{found or number}@s.whatsapp.net", "exists": found is not None, "number": number}

    async def _messages(self, request: web.Request) -> web.Response:
        """Out of its database, which needs no connection."""
        told, words = await body_of(request), ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ")
        key, page = told["where"]["key"], told.get("offset", 50)
        there = self.chat(request.match_info["s"], key["remoteJid"], 1_000)
        shown = [each for each in there if each.from_me or not key.get("fromMe")]
        rows = [
            {"id": "cm", **each.by_baileys, "MessageUpdate": [{"status": words[each.ack + 1]}]} for each in shown[:page]
        ]
        pages = {"total": len(shown), "pages": 1, "currentPage": 1}
        return said(200, {"messages": {**pages, "records": rows}})

    async def _file(self, request: web.Request) -> web.Response:
        data = self.file_of((await body_of(request))["message"]["key"]["id"])
        if data is None:
            return _error(400, "Bad Request", ["Message not found"])
        about = {"mediaType": "imageMessage", "fileName": "photo.jpg", "caption": 'he said "base64":"no"'}
        told = {**about, "size": {"fileLength": str(len(data))}, "mimetype": "image/jpeg"}
        return said(201, {**told, "base64": b64encode(data).decode(), "buffer": None})

    async def _found(self, request: web.Request) -> web.Response:
        hooks = self.hooks.get(request.match_info["s"], [])
        if not hooks:
            return said(200, None)
        [hook] = hooks
        return said(200, {name: each for name, each in hook.items() if name != "byEvents"} | {"webhookByEvents": False})

    async def _set(self, request: web.Request) -> web.Response:
        told = (await body_of(request))["webhook"]
        self.hooks[request.match_info["s"]] = [told] if told["enabled"] else []
        return said(201, told)

    def body_of(self, session: Session, told: Told) -> dict[str, Any]:
        key = {"remoteJid": told.jid, "fromMe": told.from_me, "id": told.message_id}
        picture = {"imageMessage": {"mimetype": told.mime_type, "caption": told.text, "fileName": told.file_name}}
        content = picture if told.file else {"conversation": told.text}
        text = {"message": content, "messageType": next(iter(content)), "messageTimestamp": told.at_s}
        words: dict[str, tuple[str, Any]] = {
            "incoming": ("messages.upsert", {"key": key, "pushName": "Somebody", "status": "DELIVERY_ACK", **text}),
            "sent": ("send.message", {"key": key, "status": "PENDING", **text}),
            "ack": (
                "messages.update",
                {
                    "keyId": told.message_id,
                    "remoteJid": told.jid,
                    "fromMe": True,
                    "status": ["PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ"][told.ack],
                },
            ),
            "up": ("connection.update", {"instance": session.name, "wuid": f"{session.phone}@s.whatsapp.net"}),
            "down": ("connection.update", {"instance": session.name, "state": "connecting", "statusReason": 200}),
            "logged_out": ("connection.update", {"instance": session.name, "state": "close", "statusReason": 401}),
            "qr": ("qrcode.updated", {"qrcode": {"instance": session.name, "code": session.qr}}),
        }
        word, data = words[told.what]
        if told.what == "up":
            data |= {"state": "open", "statusReason": 200}
        token = self.token_of(session.name) if self.shows_tokens else None
        event = {"event": word, "instance": session.name, "data": data, "date_time": "2026-11-30T01:00:54.139Z"}
        return event | {"sender": f"{session.phone}@s.whatsapp.net", "server_url": self.url, "apikey": token}

    def proof_of(self, session: Session, hook: dict[str, Any], body: bytes) -> dict[str, str]:
        return dict(hook.get("headers") or {})

    def token_of(self, name: str) -> str:
        return f"TOKEN-OF-{name}"


def _error(status: int, error: str, message: Any) -> web.Response:
    return said(status, {"status": status, "error": error, "response": {"message": message}})

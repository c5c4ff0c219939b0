"""WAHA 2026: as 2024.10.8 was recorded, with sessions of any name (waha-docs, OpenAPI 2026.7.1) and with keys."""

import hmac
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Told, body_of, said

_EXPECTED = "Session status is not as expected. Try again later or restart the session"


@dataclass
class Waha(Model):
    """With NOWEB as its engine."""

    version: str = "2026.7.1"
    signs: bool = True
    proxies: dict[str, dict[str, str]] = field(default_factory=dict)
    base_url: str = "http://localhost:3000"
    on_disk: dict[str, bytes] = field(default_factory=dict)
    """Files that it has taken from WhatsApp, by their names."""
    restarted: list[str] = field(default_factory=list)
    """Sessions whose configuration was set."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ping", self._ping),
            web.get("/api/server/version", self._version),
            web.get("/api/server/status", self._server),
            web.get("/api/sessions", self._list),
            web.post("/api/sessions", self._create),
            web.get("/api/sessions/{s}", self._one),
            web.get("/api/sessions/{s}/me", self._me),
            web.put("/api/sessions/{s}", self._config),
            web.post("/api/sessions/{s}/{what}", self._do),
            web.get("/api/{s}/auth/qr", self._qr),
            web.post("/api/sendText", self._send),
            web.get("/api/contacts/check-exists", self._exists),
            web.get("/api/{s}/chats/{chat}/messages", self._messages),
            web.get("/api/{s}/chats/{chat}/messages/{id}", self._message),
            web.get("/api/files/{name}", self._file),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.path == "/ping" or request.headers.get("X-Api-Key") == self.key:
            return None
        return said(401, {"message": "Unauthorized", "statusCode": 401})

    def _status(self, session: Session) -> str:
        if not session.open:
            return "STOPPED"
        if session.removed or session.cut_off:
            return "FAILED"
        return "WORKING" if session.up else "SCAN_QR_CODE"

    def _row(self, session: Session) -> dict[str, object]:
        me = {"id": f"{session.phone}@c.us", "pushName": "Stub"} if session.open and session.paired else None
        hooks, proxy = self.hooks.get(session.name), self.proxies.get(session.name)
        config = ({"webhooks": hooks} if hooks else {}) | ({"proxy": proxy} if proxy else {})
        row = {"name": session.name, "status": self._status(session), "me": me}
        return row | ({"config": config} if config else {})

    async def _ping(self, request: web.Request) -> web.Response:
        return said(200, {"message": "pong"})

    async def _version(self, request: web.Request) -> web.Response:
        return said(200, {"version": self.version, "engine": "NOWEB", "tier": "CORE", "browser": "/usr/bin/chromium"})

    async def _server(self, request: web.Request) -> web.Response:
        return said(200, {"startTimestamp": 1796000884928, "uptime": int(self.uptime_s * 1000), "worker": {"id": ""}})

    async def _list(self, request: web.Request) -> web.Response:
        every = "all" in request.query
        return said(200, [self._row(each) for each in self.sessions.values() if each.open or every])

    async def _one(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        return said(200, self._row(session)) if session else _nobody()

    async def _me(self, request: web.Request) -> web.Response:
        """As whom its engine is logged in; null where it is not, whatever the status says."""
        session = self.sessions.get(request.match_info["s"])
        if session is None or not session.open:
            return _nobody()
        return said(200, None if session.dead else self._row(session)["me"])

    async def _create(self, request: web.Request) -> web.Response:
        told = await body_of(request)
        name = told["name"]
        if name in self.sessions:
            words = f"Session '{name}' already exists. Use PUT to update it."
            return said(422, {"statusCode": 422, "message": words, "error": "Unprocessable Entity"})
        session = self.add(name)
        self._configured(session, told.get("config", {}))
        self.goes_out(session)
        return said(201, self._row(session))

    def _configured(self, session: Session, config: dict[str, Any]) -> None:
        self.hooks[session.name] = list(config.get("webhooks", []))
        proxy = config.get("proxy")
        self.proxies.pop(session.name, None)
        if proxy is not None:
            self.proxies[session.name] = proxy
        session.proxy = proxy["server"].rpartition("/")[2] if proxy is not None else None

    async def _do(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        if session is None:
            return _nobody()
        match request.match_info["what"]:
            case "start" if session.open:
                words = f"Session '{session.name}' is already started."
                return said(422, {"statusCode": 422, "message": words, "error": "Unprocessable Entity"})
            case "stop":
                session.open = False
            case "logout":
                session.open, session.paired = True, False
            case _:
                session.open, session.removed, session.paired = True, False, session.paired and not session.removed
                session.dead = False
                self.goes_out(session)
        return said(201, self._row(session))

    async def _qr(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        if self._status(session) != "SCAN_QR_CODE":
            return self._unexpected(session)
        assert request.query["format"] == "raw"
        return said(200, {"value": session.qr})

    def _unexpected(self, session: Session) -> web.Response:
        """After 5 s, which the original waits."""
        status = self._status(session)
        return said(422, {"error": _EXPECTED, "session": session.name, "status": status, "expected": ["WORKING"]})

    async def _send(self, request: web.Request) -> web.Response:
        told = await body_of(request)
        session = self.sessions.get(told["session"])
        if session is None or not session.open:
            words = f"We didn't find a session with name '{told['session']}'.\nPlease start it first by using POST"
            return said(404, {"statusCode": 404, "message": words, "error": "Not Found"})
        if not session.up:
            return self._unexpected(session)
        try:
            message_id = await self.engine(session, told["chatId"], told["text"])
        except EngineFailed as error:
            return _thrown(str(error))
        except EngineDead:
            return _thrown("Connection Closed")
        key = {"remoteJid": told["chatId"], "fromMe": True, "id": message_id}
        return said(201, {"key": key, "messageTimestamp": 1796000911, "status": 1})

    async def _exists(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.query["session"])
        if session is None or not session.open:
            return _nobody()
        if not session.up:
            return self._unexpected(session)
        found = self.whatsapp_has(request.query["phone"])
        chat = {"chatId": f"{found}@c.us"} if found is not None else {}
        return said(200, {"numberExists": found is not None, **chat})

    async def _messages(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        if session is None or not session.open:
            return _nobody()
        if not session.up:
            return self._unexpected(session)
        if session.dead:
            return _thrown("Connection Closed")
        shown = self.chat(session.name, request.match_info["chat"], int(request.query.get("limit", 10)))
        return said(200, [{"id": each.long_id, **each.by_web} for each in shown])

    async def _message(self, request: web.Request) -> web.Response:
        """With `downloadMedia` its file is taken from WhatsApp, and is on disk for some minutes."""
        session, message_id = self.sessions.get(request.match_info["s"]), request.match_info["id"]
        if session is None or not session.open:
            return _nobody()
        if (data := self.file_of(message_id)) is None or request.query.get("downloadMedia") != "true":
            return said(404, {"statusCode": 404, "message": "Message not found", "error": "Not Found"})
        self.on_disk[f"{message_id}.jpeg"] = data
        return said(200, {"id": message_id, "hasMedia": True, "media": self._media(f"{message_id}.jpeg")})

    async def _file(self, request: web.Request) -> web.Response:
        data = self.on_disk.get(request.match_info["name"])
        if data is None:
            return said(404, {"statusCode": 404, "message": "Not Found"})
        return web.Response(body=data, content_type="image/jpeg")

    def _media(self, name: str) -> dict[str, str]:
        """At the host that WAHA believes to be."""
        return {"url": f"{self.base_url}/api/files/{name}", "mimetype": "image/jpeg", "filename": "photo.jpg"}

    async def _config(self, request: web.Request) -> web.Response:
        """Sets the whole configuration; a session that runs is restarted by it."""
        session = self.sessions.get(request.match_info["s"])
        if session is None:
            return _nobody()
        told = await body_of(request)
        self._configured(session, told["config"])
        self.restarted.append(session.name)
        if session.open:
            self.goes_out(session)
        return said(200, self._row(session))

    def body_of(self, session: Session, told: Told) -> dict[str, Any]:
        match told.what:
            case "incoming" | "sent":
                word = "message.any" if told.from_me else "message"
                payload = {"id": told.long_id, "timestamp": told.at_s, "from": told.chat, "fromMe": told.from_me}
                payload |= {"body": told.text, "hasMedia": bool(told.file), "ack": 0, "ackName": "PENDING"}
                if told.file:
                    self.on_disk[f"{told.long_id}.jpeg"] = told.file
                    payload["media"] = self._media(f"{told.long_id}.jpeg")
            case "ack":
                word = "message.ack"
                payload = {"id": told.long_id, "from": told.chat, "fromMe": True, "ack": told.ack}
            case _:
                word = "session.status"
                statuses = {"up": "WORKING", "down": "STARTING", "logged_out": "FAILED", "qr": "SCAN_QR_CODE"}
                payload = {"name": session.name, "status": statuses[told.what]}
        me = {"id": f"{session.phone}@c.us", "pushName": "Stub"}
        environment = {"version": self.version, "engine": "NOWEB", "tier": "CORE"}
        event = {"event": word, "session": session.name, "me": me, "payload": payload, "engine": "NOWEB"}
        return event | {"environment": environment}

    def proof_of(self, session: Session, hook: dict[str, Any], body: bytes) -> dict[str, str]:
        """Core before 2026 takes the key and does not sign."""
        key = (hook.get("hmac") or {}).get("key")
        if not key or not self.signs:
            return {}
        signature = hmac.new(key.encode(), body, "sha512").hexdigest()
        return {"X-Webhook-Hmac": signature, "X-Webhook-Hmac-Algorithm": "sha512"}


def _nobody() -> web.Response:
    return said(404, {"statusCode": 404, "message": "Session not found", "error": "Not Found"})


def _thrown(words: str) -> web.Response:
    return said(500, {"statusCode": 500, "timestamp": "", "exception": {"message": words, "name": "Error"}})

"""baileys-api 1.0.0: bare sentences, no list, no status."""

from typing import Any, ClassVar

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Told, body_of, said


class BaileysApi(Model):
    creates: ClassVar[bool] = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/status/auth", self._auth),
            web.post("/connections/{s}/on-whatsapp", self._exists),
            web.post("/connections/{s}/send-message", self._send),
            web.post("/connections/{s}", self._connect),
            web.get("/media/{id}", self._file),
            web.delete("/connections/{s}", self._end),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("x-api-key") == self.key:
            return None
        return said(401, {"error": "Unauthorized", "message": "Valid API key required"})

    async def _auth(self, request: web.Request) -> web.Response:
        return web.Response(text="OK")

    def _session(self, request: web.Request) -> Session | web.Response:
        session = self.sessions.get(request.match_info["s"])
        if session is None or session.removed:
            return web.Response(status=404, text="Phone number not connected")
        return session if session.up and not session.dead else web.Response(status=500, text="Connection Closed")

    async def _exists(self, request: web.Request) -> web.Response:
        session = self._session(request)
        if isinstance(session, web.Response):
            return session
        return said(200, [self._number(jid) for jid in (await body_of(request))["jids"]])

    def _number(self, jid: str) -> dict[str, object]:
        found = self.whatsapp_has(jid)
        return {"jid": f"{found}@s.whatsapp.net" if found is not None else jid, "exists": found is not None}

    async def _send(self, request: web.Request) -> web.Response:
        session = self._session(request)
        if isinstance(session, web.Response):
            return session
        told = await body_of(request)
        try:
            message_id = await self.engine(session, told["jid"], told["messageContent"]["text"])
        except EngineFailed as error:
            return web.Response(status=500, text=str(error))
        except EngineDead:
            return web.Response(status=500, text="Connection Closed")
        key = {"remoteJid": told["jid"], "fromMe": True, "id": message_id}
        return said(200, {"data": {"key": key, "messageTimestamp": 1796000917}})

    async def _connect(self, request: web.Request) -> web.Response:
        """Told anew where to report, one that is connected connects again."""
        session, told = self.sessions.get(request.match_info["s"]), await body_of(request)
        url, token = told.get("webhookUrl"), told.get("webhookVerifyToken", "")
        if session is None or not url or len(token) < 6:
            return said(422, {"type": "validation", "on": "body", "found": told})
        self.hooks[session.name] = [{"url": url, "token": token}]
        return web.Response()

    async def _file(self, request: web.Request) -> web.Response:
        """What it kept of the files that came, by their messages' ids."""
        data = self.file_of(request.match_info["id"])
        return web.Response(status=404, text="File not found") if data is None else web.Response(body=data)

    async def _end(self, request: web.Request) -> web.Response:
        if self.sessions.pop(request.match_info["s"], None) is None:
            return web.Response(status=404, text="Phone number not found")
        return web.Response()

    def body_of(self, session: Session, told: Told) -> dict[str, Any]:
        key = {"remoteJid": told.jid, "fromMe": told.from_me, "id": told.message_id}
        picture = {"imageMessage": {"mimetype": told.mime_type, "caption": told.text, "fileName": told.file_name}}
        content = picture if told.file else {"conversation": told.text}
        message = {"key": key, "messageTimestamp": told.at_s, "message": content}
        closed = {"error": {"isBoom": True, "output": {"statusCode": 401}}}
        words: dict[str, tuple[str, Any]] = {
            "incoming": ("messages.upsert", {"messages": [message], "type": "notify"}),
            "sent": ("messages.upsert", {"messages": [message | {"status": 1}], "type": "append"}),
            "ack": ("messages.update", [{"key": key, "update": {"status": told.ack + 1}}]),
            "up": ("connection.update", {"connection": "open", "epoch": 2}),
            "down": ("connection.update", {"connection": "reconnecting", "epoch": 2}),
            "logged_out": ("connection.update", {"connection": "close", "lastDisconnect": closed, "epoch": 2}),
            "qr": ("connection.update", {"connection": "connecting", "qr": session.qr, "epoch": 1}),
        }
        word, data = words[told.what]
        token = self.hooks[session.name][0].get("token") if self.hooks.get(session.name) else None
        return {"event": word, "data": data, "webhookVerifyToken": token}

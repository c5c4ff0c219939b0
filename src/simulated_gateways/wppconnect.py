"""WPPConnect Server 2.10.4, also in what it does to a GET with a content type, and to `/unhealthy`."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Shown, Told, body_of, said


@dataclass
class Wppconnect(Model):
    exited: bool = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._healthz),
            web.get("/unhealthy", self._unhealthy),
            web.get("/api/{k}/show-all-sessions", self._list),
            web.post("/api/{s}/{k}/generate-token", self._token),
            web.get("/api/{s}/status-session", self._status),
            web.get("/api/{s}/check-connection-session", self._check),
            web.get("/api/{s}/get-phone-number", self._phone),
            web.post("/api/{s}/start-session", self._open),
            web.post("/api/{s}/close-session", self._close),
            web.post("/api/{s}/logout-session", self._logout),
            web.post("/api/{s}/send-message", self._send),
            web.get("/api/{s}/check-number-status/{phone}", self._number),
            web.get("/api/{s}/get-messages/{chat}", self._messages),
            web.get("/api/{s}/get-media-by-message/{id}", self._file),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        match request.match_info:
            case {"k": key}:
                words = "The SECRET_KEY is incorrect" if "s" in request.match_info else "The token is incorrect"
                return None if key == self.key else said(400, {"response": False, "message": words})
            case {"s": name}:
                shown = request.headers.get("Authorization", "")
                if not shown:
                    return said(401, {"message": "Token is not present. Check your header and try again"})
                right = shown == f"Bearer token-of-{name}"
                return None if right else said(401, {"error": "Check that the Session and Token are correct"})
            case _:
                return None

    async def _healthz(self, request: web.Request) -> web.Response:
        return said(200, {"uptime": self.uptime_s, "message": "OK", "timestamp": 1796000774626})

    async def _unhealthy(self, request: web.Request) -> web.Response:
        self.exited = True
        return web.Response()

    async def _list(self, request: web.Request) -> web.Response:
        return said(200, {"response": list(self.sessions)})

    async def _token(self, request: web.Request) -> web.Response:
        name = request.match_info["s"]
        token = f"token-of-{name}"
        return said(201, {"status": "success", "session": name, "token": token, "full": f"{name}:{token}"})

    def _word(self, session: Session | None) -> str:
        if session is None or not session.open:
            return "CLOSED"
        return "CONNECTED" if session.up or session.dead else "QRCODE"

    def _about(self, session: Session | None) -> dict[str, Any]:
        word = self._word(session)
        if session is None or word == "CLOSED":
            return {"status": word, "qrcode": None}
        code = {"qrcode": "data:image/png;base64,", "urlcode": session.qr}
        return {"status": word, **code, "version": "2.10.4"}

    async def _status(self, request: web.Request) -> web.Response:
        if "Content-Type" in request.headers:
            await asyncio.sleep(60)
        return said(200, self._about(self.sessions.get(request.match_info["s"])))

    async def _check(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        up = session is not None and session.up and not session.dead
        return said(200, {"status": up, "message": "Connected" if up else "Disconnected"})

    async def _phone(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        return said(200, {"status": "success", "response": f"{session.phone}@c.us", "mapper": "device"})

    async def _number(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        if session is None or not session.open:
            return _inactive("")
        if not session.up or session.dead:
            return _inactive(session.name)
        asked = request.match_info["phone"]
        found = self.whatsapp_has(asked)
        user = {"server": "c.us", "user": found or asked, "_serialized": f"{found or asked}@c.us"}
        told = {"id": user, "isBusiness": False, "canReceiveMessage": found is not None}
        return said(200, {"status": "success", "response": {**told, "numberExists": found is not None}})

    async def _messages(self, request: web.Request) -> web.Response:
        """As WhatsApp Web has them; of a file the body is a small picture."""
        session = self.sessions.get(request.match_info["s"])
        if session is None or not session.open:
            return _inactive("")
        if not session.up or session.dead:
            return _inactive(session.name)
        shown = self.chat(session.name, request.match_info["chat"], int(request.query.get("count", 20)))
        return said(200, {"status": "success", "response": [_raw(each) for each in shown[::-1]]})

    async def _file(self, request: web.Request) -> web.Response:
        session, data = self.sessions.get(request.match_info["s"]), self.file_of(request.match_info["id"])
        if session is None or not session.open:
            return _inactive("")
        if data is None:
            return said(400, {"status": "error", "message": "Message not found"})
        return said(200, {"base64": b64encode(data).decode(), "mimetype": "image/jpeg"})

    async def _open(self, request: web.Request) -> web.Response:
        name = request.match_info["s"]
        session = self.sessions.get(name) or self.add(name)
        was_closed, session.open, session.dead = not session.open, True, False
        if was_closed:
            told = await body_of(request)
            proxy = told.get("proxy")
            session.proxy = proxy["url"].rpartition("/")[2] if proxy else None
            self.goes_out(session)
            self.hooks[name] = [{"url": told["webhook"]}] if told.get("webhook") else []
            return said(200, {"status": None, "qrcode": None, "version": "2.10.4"})
        return said(200, {**self._about(session), "session": name})

    async def _close(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        session.open = False
        return said(200, {"status": True, "message": "Session successfully closed", "session": session.name})

    async def _logout(self, request: web.Request) -> web.Response:
        del self.sessions[request.match_info["s"]]
        return said(200, {"status": True, "message": "Session successfully closed", "session": "alpha"})

    async def _send(self, request: web.Request) -> web.Response:
        session, told = self.sessions.get(request.match_info["s"]), await body_of(request)
        if session is None or not session.open:
            return _inactive("")
        if not session.up or session.dead:
            return _inactive(session.name)
        phone, text = told.get("phone"), told.get("message", "")
        if phone is None:
            return said(201, {"status": "success", "response": [], "mapper": "return", "session": session.name})
        try:
            message_id = await self.engine(session, phone, text)
        except EngineFailed:
            return said(500, {"status": "Error", "message": "Erro ao enviar a mensagem.", "error": {"level": "error"}})
        except EngineDead:
            return _inactive(session.name)
        if phone.endswith("404"):
            words = f"O número {phone} não existe."
            return said(400, {"response": None, "status": "Connected", "message": words, "session": session.name})
        row = {"id": f"true_{phone}@c.us_{message_id}_out", "body": text, "timestamp": 1796000779}
        return said(201, {"status": "success", "response": [row], "mapper": "return", "session": session.name})

    def body_of(self, session: Session, told: Told) -> dict[str, Any] | None:
        message = {"body": told.text, "type": "chat", "t": told.at_s, "from": told.chat, "to": told.chat}
        if told.file:
            picture = {"mimetype": told.mime_type, "caption": told.text, "filename": told.file_name}
            message |= {"type": "image", "body": "/9j/4AAQSkZJRg", **picture}
        words: dict[str, dict[str, Any] | None] = {
            "incoming": {"event": "onmessage", "id": told.long_id, **message, "fromMe": False},
            "sent": None,
            "ack": {"event": "onack", "id": f"{told.long_id}_out", **message, "fromMe": True, "ack": told.ack},
            "up": {"event": "status-find", "status": "inChat"},
            "down": {"event": "status-find", "status": "browserClose"},
            "logged_out": {"event": "logoutsession", "message": "Session logged out", "connected": False},
            "qr": {"event": "qrcode", "qrcode": "iVBORw0KGgo", "urlcode": session.qr},
        }
        body = words[told.what]
        return None if body is None else body | {"session": session.name}


def _inactive(session: str) -> web.Response:
    words = "A sessão do WhatsApp não está ativa."
    return said(404, {"response": None, "status": "Disconnected", "message": words, "session": session})


def _raw(shown: Shown) -> dict[str, Any]:
    about = {"id": f"{shown.long_id}_out" if shown.from_me else shown.long_id, "fromMe": shown.from_me}
    told = about | {"ack": shown.ack, "t": shown.at_s, "timestamp": shown.at_s, "to": f"{shown.person}@c.us"}
    if shown.sha256 is None:
        return told | {"type": "chat", "body": shown.text}
    caption = {"caption": shown.text} if shown.text else {}
    about_file = {"filehash": shown.filehash, "mimetype": "image/jpeg"}
    return told | {"type": "image", "body": "/9j/4AAQSkZJRg", **about_file, **caption}

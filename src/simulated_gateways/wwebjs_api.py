"""wwebjs-api 1.0.0."""

import re
from base64 import b64encode
from typing import Any

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Shown, Told, body_of, said


class WwebjsApi(Model):
    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ping", self._ping),
            web.get("/session/getSessions", self._list),
            web.get("/session/status/{s}", self._status),
            web.get("/session/qr/{s}", self._qr),
            web.get("/session/{what:start|stop|restart|terminate}/{s}", self._do),
            web.get("/client/getClassInfo/{s}", self._who),
            web.post("/client/sendMessage/{s}", self._send),
            web.post("/client/getNumberId/{s}", self._number),
            web.post("/chat/fetchMessages/{s}", self._messages),
            web.post("/message/downloadMedia/{s}", self._file),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.path == "/ping" or request.headers.get("x-api-key") == self.key:
            return None
        return said(403, {"success": False, "error": "Invalid API key"})

    async def _ping(self, request: web.Request) -> web.Response:
        return said(200, {"success": True, "message": "pong"})

    def _word(self, name: str) -> str:
        session = self.sessions.get(name)
        if session is None or not session.open:
            return "session_not_found"
        if session.dead:
            return "session closed"
        return "session_connected" if session.up else "session_not_connected"

    async def _list(self, request: web.Request) -> web.Response:
        return said(200, {"success": True, "result": [each.name for each in self.sessions.values() if each.open]})

    async def _status(self, request: web.Request) -> web.Response:
        word = self._word(request.match_info["s"])
        up = word == "session_connected"
        return said(200, {"success": up, "state": "CONNECTED" if up else None, "message": word})

    async def _qr(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        if session is None or not session.open:
            return said(200, {"success": False, "message": "session_not_found"})
        if session.paired:
            return said(200, {"success": False, "message": "qr code not ready or already scanned"})
        return said(200, {"success": True, "qr": session.qr})

    async def _do(self, request: web.Request) -> web.Response:
        name, what = request.match_info["s"], request.match_info["what"]
        session = self.sessions.get(name)
        if what == "start":
            if not re.fullmatch(r"[\w-]+", name) or "_" in name:
                return said(422, {"success": False, "error": "Session should be alphanumerical or -"})
            if session is not None and session.open:
                return said(422, {"success": False, "error": f"Session already exists for: {name}"})
            self.sessions[name] = Session(name, paired=session is not None and session.paired)
            return said(200, {"success": True, "message": "Session initiated successfully"})
        if session is not None:
            session.open = what == "restart"
            session.dead = False
            if what == "terminate":
                del self.sessions[name]
            if what == "restart" and session.removed:
                session.removed, session.paired = False, False
            if what == "restart":
                self.goes_out(session)
        words = {"stop": "Session stopped", "restart": "Restarted", "terminate": "Logged out"}[what]
        return said(200, {"success": True, "message": f"{words} successfully"})

    async def _who(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        wid = {"user": session.phone, "_serialized": f"{session.phone}@c.us"}
        return said(200, {"success": True, "sessionInfo": {"wid": wid, "platform": "android", "pushname": "stub"}})

    async def _number(self, request: web.Request) -> web.Response:
        if (word := self._word(request.match_info["s"])) != "session_connected":
            return said(404, {"success": False, "error": word})
        found = self.whatsapp_has((await body_of(request))["number"])
        wid = {"server": "c.us", "user": found, "_serialized": f"{found}@c.us"}
        return said(200, {"success": True, "result": wid if found is not None else None})

    async def _messages(self, request: web.Request) -> web.Response:
        """Oldest first."""
        name, told = request.match_info["s"], await body_of(request)
        if (word := self._word(name)) != "session_connected":
            return said(404, {"success": False, "error": word})
        options = told.get("searchOptions", {})
        there = [each for each in self.chat(name, told["chatId"], 1_000) if each.from_me or not options.get("fromMe")]
        rows = [{"id": _id(each), **each.by_web} for each in there[: options.get("limit", 50)][::-1]]
        return said(200, {"success": True, "messages": rows})

    async def _file(self, request: web.Request) -> web.Response:
        """By WhatsApp's own id."""
        told = await body_of(request)
        if (word := self._word(request.match_info["s"])) != "session_connected":
            return said(404, {"success": False, "error": word})
        data = self.files.get(told["messageId"])
        if data is None:
            return said(500, {"success": False, "error": "Message not found"})
        media = {"mimetype": "image/jpeg", "data": b64encode(data).decode(), "filename": "photo.jpg"}
        return said(200, {"success": True, "messageMedia": {**media, "filesize": len(data)}})

    async def _send(self, request: web.Request) -> web.Response:
        name, told = request.match_info["s"], await body_of(request)
        if told.get("contentType") != "string":
            return said(400, {"success": False, "error": "invalid contentType"})
        if (word := self._word(name)) != "session_connected":
            return said(404, {"success": False, "error": word})
        try:
            message_id = await self.engine(self.sessions[name], told["chatId"], told["content"])
        except EngineFailed:
            words = "Protocol error (Runtime.callFunctionOn): Target closed."
            return said(500, {"success": False, "error": words})
        except EngineDead:
            return said(404, {"success": False, "error": "session closed"})
        full = {"_serialized": f"true_{told['chatId']}_{message_id}", "fromMe": True, "remote": told["chatId"]}
        return said(200, {"success": True, "message": {"id": full, "body": told["content"], "timestamp": 1796000184}})

    def body_of(self, session: Session, told: Told) -> dict[str, Any]:
        way = (f"{session.phone}@c.us", told.chat) if told.from_me else (told.chat, f"{session.phone}@c.us")
        message = {
            "id": {"_serialized": told.long_id, "fromMe": told.from_me, "remote": told.chat},
            "from": way[0],
            "to": way[1],
            "body": told.text,
            "timestamp": told.at_s,
            "type": "chat",
            "hasMedia": bool(told.file),
            "_data": {"mimetype": told.mime_type, "filename": told.file_name} if told.file else {},
            "fromMe": told.from_me,
        }
        words: dict[str, tuple[str, Any]] = {
            "incoming": ("message", {"message": message}),
            "sent": ("message_create", {"message": message}),
            "ack": ("message_ack", {"message": message, "ack": told.ack}),
            "up": ("ready", None),
            "down": ("disconnected", {"reason": "NAVIGATION"}),
            "logged_out": ("disconnected", {"reason": "LOGOUT"}),
            "qr": ("qr", {"qr": session.qr}),
        }
        word, data = words[told.what]
        return {"dataType": word, "sessionId": session.name} | ({"data": data} if data is not None else {})

    def proof_of(self, session: Session, hook: dict[str, Any], body: bytes) -> dict[str, str]:
        return {"x-api-key": self.key}


def _id(shown: Shown) -> dict[str, Any]:
    chat = f"{shown.person}@c.us"
    return {"fromMe": shown.from_me, "remote": chat, "id": shown.message_id, "_serialized": shown.long_id}

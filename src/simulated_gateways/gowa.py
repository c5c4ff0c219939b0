"""GOWA, as its source says (v9, 51f7b19)."""

import hmac
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote

import segno
from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Shown, Told, body_of, said


@dataclass
class Gowa(Model):
    key: str = "user:model-key"
    downloaded: dict[str, bytes] = field(default_factory=dict)
    """What it took from WhatsApp."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/devices", self._list),
            web.post("/devices", self._create),
            web.get("/devices/{s}/status", self._status),
            web.post("/devices/{s}/{what:reconnect|logout}", self._do),
            web.get("/devices/{s}/login", self._login),
            web.get("/statics/qrcode/{s}.png", self._picture),
            web.patch("/devices/{s}/webhook", self._hook),
            web.get("/devices/{s}/webhook", self._hooked),
            web.post("/send/message", self._send),
            web.get("/user/check", self._check),
            web.get("/chat/{chat}/messages", self._messages),
            web.get("/message/{id}/download", self._download),
            web.get("/statics/media/{id}", self._file),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        right = f"Basic {b64encode(self.key.encode()).decode()}"
        if request.path == "/health" or request.headers.get("Authorization") == right:
            return None
        return web.Response(status=401, text="Unauthorized")

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="OK")

    def _row(self, session: Session) -> dict[str, object]:
        state = "logged_in" if session.up else "connected" if session.open else "disconnected"
        return {
            "id": session.name,
            "state": state,
            "jid": f"{session.phone}:3@s.whatsapp.net" if session.paired else "",
        }

    async def _list(self, request: web.Request) -> web.Response:
        return _success([self._row(each) for each in self.sessions.values()])

    async def _create(self, request: web.Request) -> web.Response:
        session = self.add((await body_of(request))["device_id"])
        return _success(self._row(session))

    async def _status(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["s"])
        if session is None:
            return _not_found()
        return _success({"device_id": session.name, "is_connected": session.open, "is_logged_in": session.up})

    async def _login(self, request: web.Request) -> web.Response:
        """Begins the linking anew, and draws its code into a folder that it serves. Its link is made of what it
        believes to be its own address."""
        session = self.sessions.get(request.match_info["s"])
        if session is None:
            return _not_found()
        session.open = True
        link = f"http://localhost:3000/statics/qrcode/{quote(session.name, safe='')}.png"
        return _success({"device_id": session.name, "qr_link": link, "qr_duration": 30})

    async def _picture(self, request: web.Request) -> web.Response:
        drawn = BytesIO()
        segno.make(self.sessions[request.match_info["s"]].qr, error="m").save(drawn, kind="png", scale=6)
        return web.Response(body=drawn.getvalue(), content_type="image/png")

    async def _hook(self, request: web.Request) -> web.Response:
        """Its events are one text: a list is no body that it reads."""
        told, name = await body_of(request), request.match_info["s"]
        if not all(isinstance(told.get(each, ""), str) for each in ("webhook_url", "webhook_secret", "webhook_events")):
            return said(400, {"status": 400, "code": "BAD_REQUEST", "message": "Invalid request body"})
        url, secret = told["webhook_url"], told.get("webhook_secret", "")
        signed = {"secret": secret} if secret else {}
        self.hooks[name] = [{"url": url, "events": told.get("webhook_events", ""), **signed}] if url else []
        return await self._hooked(request)

    async def _hooked(self, request: web.Request) -> web.Response:
        name = request.match_info["s"]
        hook = (self.hooks.get(name) or [{}])[0]
        told = {"webhook_url": hook.get("url", ""), "webhook_secret": hook.get("secret", "")}
        told |= {"webhook_events": hook.get("events", ""), "webhook_insecure_skip_verify": False}
        return _success({"device_id": name, **told})

    async def _do(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["s"]]
        session.open = request.match_info["what"] == "reconnect"
        session.paired = session.paired and session.open
        if session.open:
            self.goes_out(session)
        return _success({})

    async def _send(self, request: web.Request) -> web.Response:
        session, told = self.sessions.get(request.headers["X-Device-Id"]), await body_of(request)
        if session is None:
            return _not_found()
        if not session.up:
            return said(401, {"status": 401, "code": "AUTHENTICATION_ERROR", "message": "you are not logged in"})
        try:
            message_id = await self.engine(session, told["phone"], told["message"])
        except (EngineFailed, EngineDead) as error:
            return said(500, {"status": 500, "code": "INTERNAL_SERVER_ERROR", "message": str(error)})
        return _success({"message_id": message_id, "status": "sent"})

    async def _check(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.headers["X-Device-Id"])
        if session is None:
            return _not_found()
        if not session.up:
            return said(401, {"status": 401, "code": "AUTHENTICATION_ERROR", "message": "you are not logged in"})
        return _success({"is_on_whatsapp": self.whatsapp_has(request.query["phone"]) is not None})

    async def _messages(self, request: web.Request) -> web.Response:
        """Out of its own store."""
        session = self.sessions.get(request.headers["X-Device-Id"])
        if session is None:
            return _not_found()
        mine = request.query.get("is_from_me") == "true"
        there = self.chat(session.name, request.match_info["chat"], 1_000)
        limit = int(request.query.get("limit", 50))
        rows = [_message(each) for each in there if each.from_me or not mine][:limit]
        about = {"limit": limit, "offset": 0, "total": len(rows)}
        return _success({"data": rows, "pagination": about})

    async def _download(self, request: web.Request) -> web.Response:
        """Takes it from WhatsApp into the folder that it serves. What it does not know is an error inside."""
        session, name = self.sessions.get(request.headers["X-Device-Id"]), request.match_info["id"]
        if session is None:
            return _not_found()
        data = self.file_of(name)
        if data is None or "@" not in request.query.get("phone", ""):
            words = f"message with ID {name} not found"
            return said(500, {"status": 500, "code": "INTERNAL_SERVER_ERROR", "message": words})
        self.downloaded[name] = data
        about = {"message_id": name, "media_type": "image", "filename": f"{name}.jpe", "file_size": len(data)}
        return _success({**about, "file_path": f"statics/media/{name}"})

    async def _file(self, request: web.Request) -> web.Response:
        data = self.downloaded.get(request.match_info["id"])
        return web.Response(status=404, text="Cannot GET") if data is None else web.Response(body=data)

    def body_of(self, session: Session, told: Told) -> dict[str, Any] | None:
        """By its source: nothing of how a device stands."""
        about = {"device_id": f"{session.phone}@s.whatsapp.net", "session_id": session.name}
        match told.what:
            case "incoming" | "sent":
                message: dict[str, Any] = {
                    "id": told.message_id,
                    "chat_id": told.jid,
                    "from": told.jid,
                    "body": told.text,
                }
                message |= {"is_from_me": told.from_me, "timestamp": "2026-11-30T01:02:03Z"}
                if told.file:
                    message["document"] = {"url": "https://mmg.whatsapp.net/v/x", "filename": told.file_name}
                return {"event": "message", **about, "payload": message}
            case "ack":
                kind = "read" if told.ack == 3 else "delivered"
                payload = {"ids": [told.message_id], "chat_id": told.jid, "receipt_type": kind}
                return {"event": "message.ack", **about, "payload": payload}
            case _:
                return None

    def proof_of(self, session: Session, hook: dict[str, Any], body: bytes) -> dict[str, str]:
        """Signed with `secret` where nobody set another one."""
        signature = hmac.new(hook.get("secret", "secret").encode(), body, "sha256").hexdigest()
        return {"X-Hub-Signature-256": f"sha256={signature}"}


def _message(shown: Shown) -> dict[str, Any]:
    told = {"id": shown.message_id, "chat_jid": f"{shown.person}@s.whatsapp.net", "content": shown.text}
    at = datetime.fromtimestamp(shown.at_s, UTC).isoformat().replace("+00:00", "Z")
    return told | {"timestamp": at, "is_from_me": shown.from_me, "media_type": "image" if shown.sha256 else ""}


def _success(results: object) -> web.Response:
    return said(200, {"status": 200, "code": "SUCCESS", "message": "done", "results": results})


def _not_found() -> web.Response:
    return said(404, {"status": 404, "code": "DEVICE_NOT_FOUND", "message": "device not found"})

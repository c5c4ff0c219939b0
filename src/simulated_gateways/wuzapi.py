"""wuzapi, as its source says (79ee4cd, handlers.go)."""

import hmac
from base64 import b64encode
from typing import Any, ClassVar

from aiohttp import web

from simulated_gateways.base import EngineDead, EngineFailed, Model, Session, Told, body_of, said


class Wuzapi(Model):
    creates: ClassVar[bool] = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/admin/users", self._users),
            web.get("/session/status", self._status),
            web.get("/session/qr", self._qr),
            web.post("/session/{what:connect|disconnect|logout}", self._do),
            web.post("/session/proxy", self._proxy),
            web.post("/webhook", self._hook),
            web.get("/webhook", self._hooked),
            web.post("/chat/send/text", self._send),
            web.post("/user/check", self._check),
        ]

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.path == "/admin/users":
            right = request.headers.get("Authorization") == self.key
        else:
            right = self._session(request) is not None
        return None if right else said(401, {"code": 401, "error": "unauthorized", "success": False})

    def _session(self, request: web.Request) -> Session | None:
        return self.sessions.get(request.headers.get("token", "").removeprefix("token-of-"))

    async def _users(self, request: web.Request) -> web.Response:
        rows = [
            {
                "id": number,
                "name": each.name,
                "token": f"token-of-{each.name}",
                "jid": f"{each.phone}:12@s.whatsapp.net" if each.paired else "",
                "connected": each.open,
                "events": "Message,ReadReceipt",
            }
            for number, each in enumerate(self.sessions.values())
        ]
        return said(200, {"code": 200, "data": rows, "success": True})

    async def _status(self, request: web.Request) -> web.Response:
        session = self._session(request)
        assert session is not None
        if not session.open:
            return said(500, {"code": 500, "error": "No session", "success": False})
        return _wrapped({"Connected": not session.removed, "LoggedIn": session.up})

    async def _qr(self, request: web.Request) -> web.Response:
        session = self._session(request)
        assert session is not None
        return _wrapped({"QRCode": session.qr})

    async def _do(self, request: web.Request) -> web.Response:
        session = self._session(request)
        assert session is not None
        match request.match_info["what"]:
            case "connect":
                assert (await body_of(request))["Subscribe"] == ["Message", "ReadReceipt"]
                session.open = True
                self.goes_out(session)
            case "disconnect":
                session.open = False
            case _:
                session.open, session.paired = False, False
        return _wrapped({"Details": "done"})

    async def _hook(self, request: web.Request) -> web.Response:
        session, told = self._session(request), await body_of(request)
        assert session is not None
        self.hooks[session.name] = [{"url": told["webhookURL"]}] if told["webhookURL"] else []
        return _wrapped({"webhook": told["webhookURL"]})

    async def _hooked(self, request: web.Request) -> web.Response:
        session = self._session(request)
        assert session is not None
        url = (self.hooks.get(session.name) or [{"url": ""}])[0]["url"]
        return _wrapped({"subscribe": ["Message", "ReadReceipt"], "webhook": url})

    async def _proxy(self, request: web.Request) -> web.Response:
        session, told = self._session(request), await body_of(request)
        assert session is not None
        if session.open:
            words = "cannot set proxy while connected. Please disconnect first"
            return said(400, {"code": 400, "error": words, "success": False})
        session.proxy = told["proxy_url"].rpartition("/")[2].rpartition("@")[2] if told["enable"] else None
        return _wrapped({"Details": "Proxy configured successfully", "ProxyURL": told["proxy_url"]})

    async def _send(self, request: web.Request) -> web.Response:
        session, told = self._session(request), await body_of(request)
        assert session is not None
        if not session.up:
            words = "not connected" if session.open else "No session"
            return said(500, {"code": 500, "error": words, "success": False})
        try:
            message_id = await self.engine(session, told["Phone"], told["Body"])
        except (EngineFailed, EngineDead) as error:
            return said(500, {"code": 500, "error": str(error) or "not connected", "success": False})
        return _wrapped({"Details": "Sent", "Id": message_id, "Timestamp": 1796000917})

    async def _check(self, request: web.Request) -> web.Response:
        session, told = self._session(request), await body_of(request)
        assert session is not None
        if not session.up:
            return said(500, {"code": 500, "error": "No session", "success": False})
        return _wrapped({"Users": [self._number(number) for number in told["Phone"]]})

    def _number(self, number: str) -> dict[str, object]:
        found = self.whatsapp_has(number)
        about = {"JID": f"{found or number}@s.whatsapp.net", "Query": number, "VerifiedName": ""}
        return {"IsInWhatsapp": found is not None, **about}

    def body_of(self, session: Session, told: Told) -> dict[str, Any] | None:
        """By its source: nothing of how a session stands."""
        info = {"ID": told.message_id, "Chat": told.jid, "Sender": told.jid, "IsFromMe": told.from_me, "Type": "text"}
        match told.what:
            case "incoming" | "sent":
                content: dict[str, Any] = {"conversation": told.text}
                beside: dict[str, Any] = {}
                if told.file:
                    info |= {"Type": "media"}
                    content = {"imageMessage": {"caption": told.text, "mimetype": told.mime_type}}
                    beside = {"base64": b64encode(told.file).decode(), "mimeType": told.mime_type}
                    beside |= {"fileName": told.file_name}
                event = {"Info": info | {"Timestamp": "2026-11-30T01:02:03Z"}, "Message": content}
                return {"type": "Message", "event": event, "instanceName": session.name, **beside}
            case "ack":
                receipt = {"MessageIDs": [told.message_id], "Chat": told.jid, "Timestamp": "2026-11-30T01:02:04Z"}
                state = "Read" if told.ack == 3 else "Delivered"
                return {"type": "ReadReceipt", "event": receipt, "state": state, "instanceName": session.name}
            case _:
                return None

    def proof_of(self, session: Session, hook: dict[str, Any], body: bytes) -> dict[str, str]:
        key = hook.get("hmac")
        return {"x-hmac-signature": hmac.new(key.encode(), body, "sha256").hexdigest()} if key else {}


def _wrapped(data: object) -> web.Response:
    return said(200, {"code": 200, "data": data, "success": True})

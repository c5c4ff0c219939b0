"""The Node service as its callers meet it: its routes, its answers, and what they do to the logins on its disk.

Behaviour as read in ltmoerdani/blazz, whatsapp-service: src/routes/index.js, src/controllers/*.js and
src/managers/SessionManager.js.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from scripted_peers import Asked, Peer, answer

KEY = "sécret key/42+&"
Json = dict[str, Any]


@dataclass
class NodeService:
    """`open_sessions` are those in memory, `statuses` what it notes of them, `logins` the folders on its disk."""

    open_sessions: set[str] = field(default_factory=set)
    statuses: dict[str, Json] = field(default_factory=dict)
    logins: set[str] = field(default_factory=set)
    sent: list[Json] = field(default_factory=list)
    browsers_started: list[str] = field(default_factory=list)
    send_fails_with: str | None = None
    start_fails_with: str | None = None
    loses_message_ids: bool = False

    def hold(self, session_id: str, status: str | None = "connected", **noted: Any) -> None:
        self.open_sessions.add(session_id)
        self.logins.add(session_id)
        self.statuses[session_id] = {"workspaceId": 1, **({"status": status} if status else {}), **noted}

    async def talk(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await peer.read(reader)) is not None:
            status, said = self.respond(asked)
            writer.write(answer(json.dumps(said).encode(), status=f"{status} X"))
            await writer.drain()

    def respond(self, asked: Asked) -> tuple[int, Json]:
        parts = urlsplit(asked.target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = json.loads(asked.body) if asked.body else {}
        for method, pattern, handler in (
            ("GET", r"/health", self._health),
            ("GET", r"/api/sessions", self._list),
            ("POST", r"/api/sessions", self._create),
            ("GET", r"/api/sessions/([^/]+)/status", self._status),
            ("DELETE", r"/api/sessions/([^/]+)", self._disconnect),
            ("POST", r"/api/sessions/([^/]+)/reconnect", self._reconnect),
            ("POST", r"/api/sessions/([^/]+)/regenerate-qr", self._regenerate),
            ("POST", r"/api/messages/send", self._send),
        ):
            matched = re.fullmatch(pattern, parts.path)
            if method == asked.method and matched:
                given = (query if method == "GET" else body).get("api_key")
                if given != KEY and parts.path != "/health":
                    return 401, {"error": "Invalid API key"}
                return handler(*map(unquote, matched.groups()), body)
        return 404, {"error": "Endpoint not found", "path": asked.target, "method": asked.method}

    def _health(self, body: Json) -> tuple[int, Json]:
        connected = sum(self.statuses.get(one, {}).get("status") == "connected" for one in self.open_sessions)
        total = len(self.open_sessions)
        return 200, {
            "status": "healthy",
            "uptime": 1.5,
            "sessions": {"total": total, "connected": connected, "disconnected": total - connected},
            "memory": {"used": 41, "total": 62, "unit": "MB"},
            "timestamp": "2026-11-24T07:00:00.000Z",
        }

    def _list(self, body: Json) -> tuple[int, Json]:
        rows = [self._row(session_id) for session_id in sorted(self.open_sessions)]
        return 200, {"success": True, "sessions": rows, "total": len(rows)}

    def _row(self, session_id: str) -> Json:
        noted = self.statuses.get(session_id, {})
        names = {"status": "status", "phone_number": "phoneNumber", "workspace_id": "workspaceId"}
        return {"session_id": session_id, **{name: noted[key] for name, key in names.items() if key in noted}}

    def _status(self, session_id: str, body: Json) -> tuple[int, Json]:
        if session_id not in self.statuses:
            return 404, {"error": "Session not found"}
        return 200, self._row(session_id)

    def _create(self, body: Json) -> tuple[int, Json]:
        return self._open(body["session_id"])

    def _open(self, session_id: str) -> tuple[int, Json]:
        if self.start_fails_with is not None:
            self.open_sessions.discard(session_id)
            self.statuses.pop(session_id, None)
            return 500, {"error": self.start_fails_with}
        self.browsers_started.append(session_id)
        self.hold(session_id, "qr_scanning", phoneNumber=None)
        return 200, {"success": True, "session_id": session_id, "status": "qr_scanning"}

    def _disconnect(self, session_id: str, body: Json) -> tuple[int, Json]:
        self.statuses.pop(session_id, None)
        if session_id in self.open_sessions:
            self.open_sessions.discard(session_id)
            return 200, {"success": True, "message": "Session disconnected successfully"}
        self.logins.discard(session_id)
        return 200, {"success": True, "message": "Session already disconnected", "alreadyDisconnected": True}

    def _reconnect(self, session_id: str, body: Json) -> tuple[int, Json]:
        self._disconnect(session_id, body)
        return self._open(session_id)

    def _regenerate(self, session_id: str, body: Json) -> tuple[int, Json]:
        status, said = self._reconnect(session_id, body)
        return (200, {"expires_in": 300}) if status == 200 else (status, said)

    def _send(self, body: Json) -> tuple[int, Json]:
        if not (body.get("session_id") and body.get("recipient_phone") and body.get("message")):
            required = ["session_id", "recipient_phone", "message"]
            return 400, {"error": "Missing required fields", "required": required}
        if not re.fullmatch(r"\+?[\d\-()]+", body["recipient_phone"].replace(" ", "")):
            return 400, {"error": "Invalid phone number format"}
        if body["session_id"] not in self.open_sessions:
            return 404, {"error": "Session not found"}
        if self.statuses.get(body["session_id"], {}).get("status") != "connected":
            return 400, {"error": "Session not connected. Please check session status."}
        if self.send_fails_with is not None:
            return 500, {"error": self.send_fails_with}
        self.sent.append(body)
        receipt = {"message_id": f"true_{body['recipient_phone']}@c.us_3EB0{len(self.sent):016X}"}
        return 200, {"success": True, **({} if self.loses_message_ids else receipt), "timestamp": 1764000000}

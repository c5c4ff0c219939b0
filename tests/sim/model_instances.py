"""Model instances: gateways reduced to what can be seen of them over the wire."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from wired_http import HttpRequest, HttpServer, Response
from wired_network import Conditions, Network

from homing.model.fleet import InstanceUrl, SessionId, SessionStatus

_WORDS = {SessionStatus.PAIRING: "qr_scanning", SessionStatus.STARTING: "initializing", SessionStatus.FAILED: "error"}


@dataclass(frozen=True, slots=True)
class SentText:
    """One text that the instance gave to WhatsApp."""

    session_id: SessionId
    recipient_phone: str
    text: str
    message_id: str
    at_s: float


class ModelInstance:
    """A plain webjs gateway, as the Node service is: sessions in a dict, ids of its own, no epochs.

    What goes wrong is set on it: `hangs` (requests are taken and never answered), `list_takes_s`, `fails` (500 to
    everything), `fails_after_sending`; `die` and `revive` end and begin its process. The network's faults are the
    network's.
    """

    def __init__(self, network: Network, url: InstanceUrl, *, api_key: str = "") -> None:
        parts = urlsplit(url)
        self.url, self.api_key = url, api_key
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._network = network
        self._server = HttpServer(network, self._host, self._port, self._answer)
        self.sessions: dict[SessionId, SessionStatus] = {}
        self.sent: list[SentText] = []
        self.asked: list[str] = []
        self.hangs = self.fails = self.fails_after_sending = False
        self.list_takes_s = 0.0
        self.alive = False
        self.revive()

    @property
    def conditions(self) -> Conditions:
        """What it is like to reach it."""
        return self._network.conditions(self._host, self._port)

    def die(self) -> None:
        """End the process, its sessions with it."""
        if self.alive:
            self.alive = False
            self.sessions.clear()
            self._server.close()

    def revive(self) -> None:
        """Begin a new process, without a session."""
        if not self.alive:
            self.alive = True
            self._server.open()

    # --- the webjs protocol -----------------------------------------------------------------------------------

    async def _answer(self, request: HttpRequest) -> Response:
        self.asked.append(f"{request.method} {request.path}")
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.fails:
            return Response(500, {"success": False, "error": "Internal server error"})
        if request.path == "/health":
            return self._health()
        if self.api_key not in (request.query.get("api_key", ""), request.json().get("api_key", "")):
            return Response(401, {"error": "Unauthorized"})
        return await self._routed(request)

    async def _routed(self, request: HttpRequest) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["api", "sessions"]:
                return await self._list()
            case "POST", ["api", "sessions"]:
                return self._start(SessionId(str(request.json().get("session_id", ""))))
            case "GET", ["api", "sessions", session, "status"]:
                return self._status(SessionId(session))
            case "DELETE", ["api", "sessions", session]:
                return self._stop(SessionId(session))
            case "POST", ["api", "messages", "send"]:
                return self._send(request)
            case _:
                return Response(404, {"error": "Endpoint not found"})

    def _health(self) -> Response:
        connected = sum(status is SessionStatus.CONNECTED for status in self.sessions.values())
        sessions = {"total": len(self.sessions), "connected": connected}
        return Response(200, {"status": "healthy", "sessions": sessions})

    async def _list(self) -> Response:
        await asyncio.sleep(self.list_takes_s)
        rows = [_row(session, status) for session, status in self.sessions.items()]
        return Response(200, {"success": True, "sessions": rows})

    def _status(self, session: SessionId) -> Response:
        status = self.sessions.get(session)
        return _not_found() if status is None else Response(200, {"success": True, **_row(session, status)})

    def _start(self, session: SessionId) -> Response:
        self.sessions[session] = SessionStatus.CONNECTED
        return Response(200, {"success": True, **_row(session, SessionStatus.CONNECTED)})

    def _stop(self, session: SessionId) -> Response:
        if self.sessions.pop(session, None) is None:
            return _not_found()
        return Response(200, {"success": True, "message": "Session disconnected"})

    def _send(self, request: HttpRequest) -> Response:
        said = request.json()
        session = SessionId(str(said.get("session_id", "")))
        status = self.sessions.get(session)
        if status is None:
            return _not_found()
        if status is not SessionStatus.CONNECTED:
            return Response(400, {"error": "Session not connected", "status": _WORDS.get(status, status)})
        now_s = asyncio.get_running_loop().time()
        message_id = f"true_{self._host}_{len(self.sent) + 1}"
        self.sent.append(SentText(session, str(said["recipient_phone"]), str(said["message"]), message_id, now_s))
        if self.fails_after_sending:
            return Response(500, {"success": False, "error": "Evaluation failed"})
        return Response(200, {"success": True, "message_id": message_id, "timestamp": 1_767_268_800 + int(now_s)})


def _row(session: SessionId, status: SessionStatus) -> dict[str, str]:
    return {"session_id": session, "status": _WORDS.get(status, status)}


def _not_found() -> Response:
    return Response(404, {"error": "Session not found"})

"""Plays recorded traffic to our drivers: the call that was recorded is made, and what the driver makes of it is told.

What a driver asks besides is answered as the gateway would around the recorded call.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homing.decide.sending import failures
from homing.drivers.baileys_api import BaileysApiDriver
from homing.drivers.calling import GatewayDriver
from homing.drivers.evolution import EvolutionDriver
from homing.drivers.http.connection import Reply
from homing.drivers.http.wire import MIB
from homing.drivers.waha import WahaDriver
from homing.drivers.webjs.driver import WebjsDriver
from homing.drivers.wppconnect import WppconnectDriver
from homing.drivers.wwebjs_api import WwebjsApiDriver
from homing.model.fleet import Epoch, InstanceUrl, ListedSession, NoList, SessionId, SessionList
from homing.model.sends.faults import Fault
from homing.model.sends.sending import Receipt
from homing.ports import Driver, InstanceHealth, OutgoingText, PairingCode, SessionStart
from transcripts import Exchange

AT = InstanceUrl("http://localhost:3001")
S = "webjs_1_1763800000_k3j9x2"
ABOUT = SessionStart(SessionId(S), 1, 142, Epoch(0))
OUR_ID = "3EB0AAAABBBBCCCCDDDD"
KEY = "fleetkey"

NOT_ASKED = "not asked by us"
DONE = "done"


def said(status: int, body: Any) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())


@dataclass(frozen=True)
class Around:
    """One call besides the recorded one. `afterwards`: the recorded one has been made."""

    method: str
    path: str
    target: str
    exchange: Exchange
    afterwards: bool


class Recorded:
    """A wire on which the recorded answer comes to the recorded call, and to others what is around it."""

    def __init__(self, exchange: Exchange, around: Callable[[Around], Reply]) -> None:
        self._exchange, self._around = exchange, around
        self.asked: list[tuple[str, str]] = []

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = MIB,
    ) -> Reply | Fault:
        bare = path.partition("?")[0]
        ours = (method, bare) == (self._exchange.method, self._exchange.path)
        if ours and bare == "/instance/fetchInstances":
            ours = ("?" in path) == ("?" in self._exchange.target)
        done = (self._exchange.method, self._exchange.path) in self.asked
        self.asked.append((method, bare))
        if ours:
            return self._exchange.reply()
        return self._around(Around(method, bare, path, self._exchange, done))


@dataclass(frozen=True)
class Call:
    """A call to a driver: which, of which session."""

    name: str
    session_id: str = S
    key: str = KEY


async def played(exchange: Exchange, family: str) -> Any:
    """What our driver for the family makes of the exchange, in short."""
    player = PLAYERS[family]
    call = player.call(exchange)
    if call is None:
        return NOT_ASKED
    driver = player.driver(Recorded(exchange, player.around), default_api_key=call.key)
    return told(await _made(driver, call, exchange))


async def _made(driver: Driver, call: Call, exchange: Exchange) -> object:
    about = SessionStart(SessionId(call.session_id), 1, 142, Epoch(0))
    match call.name:
        case "health":
            return await driver.health(AT, timeout_s=1)
        case "version":
            assert isinstance(driver, GatewayDriver)
            return await driver.told_version(AT, 1e9)
        case "sessions":
            return await driver.sessions(AT, timeout_s=1)
        case "session":
            return await driver.session(AT, about.session_id, timeout_s=1)
        case "send":
            return await driver.send(AT, _outgoing(exchange, call.session_id), timeout_s=1)
        case name:
            return await getattr(driver, name)(AT, about, timeout_s=1)


def _outgoing(exchange: Exchange, session_id: str) -> OutgoingText:
    told = exchange.told if isinstance(exchange.told, dict) else {}
    phone = told.get("recipient_phone") or told.get("chatId") or told.get("number") or told.get("phone") or ""
    phone = phone if isinstance(phone, str) else phone[0]
    number = phone.partition("@")[0]  # what was recorded without one, or with none, is asked of somebody
    phone = number if number.isdecimal() else "628000000001"
    text = told.get("message") or told.get("text") or told.get("content") or ""
    return OutgoingText(SessionId(session_id), 1, phone, text, OUR_ID, Epoch(0))


def told(answer: object) -> Any:
    match answer:
        case None:
            return DONE
        case str():
            return "version", answer
        case Fault():
            verdict = failures.classify(answer)
            return "fault", answer.phase, verdict.kind, verdict.may_have_left
        case Receipt(message_id=message_id):
            return "sent", message_id
        case SessionList(sessions=sessions):
            return "lists", {name: row.status.value for name, row in sessions.items()}
        case NoList(reason=reason):
            return "no list", reason
        case ListedSession(status=status, phone=phone):
            return "session", status.value, phone
        case InstanceHealth(sessions_total=total, sessions_connected=connected):
            return "health", total, connected
        case PairingCode(qr=qr, code=code, expires_in_s=expires_s):
            return "code", qr, code, expires_s
        case _:
            raise AssertionError(answer)


# --- one for each family --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Player:
    """How one family is played: which call of ours a recorded one is, and what is around it."""

    driver: Callable[..., Driver]
    call: Callable[[Exchange], Call | None]
    around: Callable[[Around], Reply]
    sends: re.Pattern[str]
    """The path of a send."""


def _by_path(*rules: tuple[str, str, str]) -> Callable[[Exchange], Call | None]:
    """By method and path: `s` in the pattern is the session, `k` the key."""

    def call(exchange: Exchange) -> Call | None:
        for method, pattern, name in rules:
            found = re.fullmatch(pattern, exchange.target)
            if found and method == exchange.method:
                named = found.groupdict()
                body = exchange.told if isinstance(exchange.told, dict) else {}
                ours = body.get("session") or body.get("session_id") or body.get("name") or body.get("instanceName")
                session = named.get("s") or (ours if isinstance(ours, str) else S)
                return Call(name, session.replace("%2B", "+"), named.get("k") or KEY)
        return None

    return call


def _webjs_around(call: Around) -> Reply:
    exchange = call.exchange
    renews = exchange.path.endswith("/regenerate-qr")
    is_again = "again" in exchange.case and exchange.method == "POST"
    held = renews or is_again or exchange.case in ("reconnect", "stop")
    row = {"session_id": S, "status": "qr_scanning" if renews else "connected", "phone_number": "628000000009"}
    if call.path == "/api/sessions":
        return said(200, {"success": True, "sessions": [row] if held else []})
    if call.path.endswith("/status") and held:
        return said(200, row)
    return said(404, {"error": "Session not found"})


def _waha_around(call: Around) -> Reply:
    """Around a start it is stopped, around a create not known, around a code it shows one; else it works."""
    last = call.exchange.path.rpartition("/")[2]
    name = re.sub(r".*/api/(sessions/)?", "", call.path).partition("/")[0]
    if call.method == "POST" or last == "sessions":
        return said(404, {"statusCode": 404, "message": "Session not found", "error": "Not Found"})
    status = {"start": "STOPPED", "qr": "SCAN_QR_CODE"}.get(last, "WORKING")
    return said(200, {"name": name, "status": status, "config": None, "me": None})


def _evolution_around(call: Around) -> Reply:
    """Around a create it is not known, around a restart it is up; else it is connecting, and its row says no more."""
    if call.path == "/instance/fetchInstances":
        return said(200, [])
    if call.exchange.path == "/instance/create":
        return said(404, {"status": 404, "response": {"message": ['The "alpha" instance does not exist']}})
    is_up = call.exchange.path.startswith("/instance/restart")
    return said(200, {"instance": {"instanceName": "alpha", "state": "open" if is_up else "connecting"}})


def _wwebjs_api_around(call: Around) -> Reply:
    what = call.exchange.path.split("/")[2] if call.exchange.path.count("/") > 1 else ""
    if call.path.startswith("/session/status"):
        if what == "start" and not call.afterwards:
            return said(200, {"success": False, "state": None, "message": "session_not_found"})
        if what in ("start", "restart", "qr") and (call.afterwards or what == "qr"):
            return said(200, {"success": False, "state": None, "message": "session_not_connected"})
        return said(200, {"success": True, "state": "CONNECTED", "message": "session_connected"})
    if call.path.startswith("/session/qr"):
        return said(200, {"success": False, "message": "qr code not ready or already scanned"})
    return said(404, {"success": False, "error": "session_not_found"})


def _wppconnect_around(call: Around) -> Reply:
    if call.path.endswith("/generate-token"):
        return said(201, {"status": "success", "session": "alpha", "token": "SESSION-TOKEN"})
    if call.path.endswith("/check-connection-session"):
        return said(200, {"status": True, "message": "Connected"})
    if call.exchange.path.endswith("/start-session"):
        return said(200, {"status": "CLOSED", "qrcode": None})
    return said(200, {"status": "CONNECTED", "qrcode": None, "version": "2.10.4"})


def _nothing_around(call: Around) -> Reply:
    raise AssertionError(f"{call.method} {call.path} beside {call.exchange.case}")


_WEBJS_CALLS = _by_path(
    ("GET", r"/health", "health"),
    ("GET", r"/api/sessions(\?.*)?", "sessions"),
    ("GET", r"/api/sessions/[^/]+/status(\?.*)?", "session"),
    ("POST", r"/api/messages/send", "send"),
    ("POST", r"/api/sessions", "start"),
    ("POST", r"/api/sessions/[^/]+/reconnect", "restart"),
    ("POST", r"/api/sessions/[^/]+/regenerate-qr", "renew_pairing"),
    ("POST", r"/api/sessions/[^/]+/logout", "logout"),
    ("DELETE", r"/api/sessions/[^/]+.*", "stop"),
)

PLAYERS = {
    "webjs": Player(WebjsDriver, _WEBJS_CALLS, _webjs_around, re.compile(r"/api/messages/send")),
    "waha": Player(
        WahaDriver,
        _by_path(
            ("GET", r"/api/server/status", "health"),
            ("GET", r"/api/server/version", "version"),
            ("GET", r"/api/sessions(\?all=true)?", "sessions"),
            ("GET", r"/api/sessions/(?P<s>[^/]+)", "session"),
            ("POST", r"/api/sendText", "send"),
            ("POST", r"/api/sessions", "start"),
            ("POST", r"/api/sessions/(?P<s>[^/]+)/start", "start"),
            ("POST", r"/api/sessions/(?P<s>[^/]+)/stop", "stop"),
            ("POST", r"/api/sessions/(?P<s>[^/]+)/restart", "restart"),
            ("POST", r"/api/sessions/(?P<s>[^/]+)/logout", "logout"),
            ("GET", r"/api/(?P<s>[^/]+)/auth/qr\?format=raw", "pairing"),
        ),
        _waha_around,
        re.compile(r"/api/sendText"),
    ),
    "evolution": Player(
        EvolutionDriver,
        _by_path(
            ("GET", r"/", "version"),
            ("GET", r"/health", "health"),
            ("GET", r"/instance/fetchInstances", "sessions"),
            ("GET", r"/instance/fetchInstances\?instanceName=(?P<s>.+)", "session"),
            ("GET", r"/instance/connectionState/(?P<s>.+)", "session"),
            ("GET", r"/instance/connect/(?P<s>.+)", "renew_pairing"),
            ("POST", r"/message/sendText/(?P<s>.+)", "send"),
            ("POST", r"/instance/create", "start"),
            ("POST", r"/instance/restart/(?P<s>.+)", "restart"),
            ("DELETE", r"/instance/logout/(?P<s>.+)", "logout"),
        ),
        _evolution_around,
        re.compile(r"/message/sendText/.+"),
    ),
    "wwebjs-api": Player(
        WwebjsApiDriver,
        _by_path(
            ("GET", r"/ping", "health"),
            ("GET", r"/session/getSessions", "sessions"),
            ("GET", r"/session/status/(?P<s>.+)", "session"),
            ("GET", r"/client/getClassInfo/(?P<s>.+)", "session"),
            ("GET", r"/session/qr/(?P<s>.+)", "pairing"),
            ("GET", r"/session/start/(?P<s>.+)", "start"),
            ("GET", r"/session/stop/(?P<s>.+)", "stop"),
            ("GET", r"/session/restart/(?P<s>.+)", "restart"),
            ("GET", r"/session/terminate/(?P<s>.+)", "logout"),
            ("POST", r"/client/sendMessage/(?P<s>.+)", "send"),
        ),
        _wwebjs_api_around,
        re.compile(r"/client/sendMessage/.+"),
    ),
    "wppconnect": Player(
        WppconnectDriver,
        _by_path(
            ("GET", r"/healthz", "health"),
            ("GET", r"/api/(?P<k>[^/]+)/show-all-sessions", "sessions"),
            ("POST", r"/api/(?P<s>[^/]+)/(?P<k>[^/]+)/generate-token", "session"),
            ("GET", r"/api/(?P<s>[^/]+)/status-session", "session"),
            ("GET", r"/api/(?P<s>[^/]+)/check-connection-session", "session"),
            ("POST", r"/api/(?P<s>[^/]+)/send-message", "send"),
            ("POST", r"/api/(?P<s>[^/]+)/start-session", "start"),
            ("POST", r"/api/(?P<s>[^/]+)/close-session", "stop"),
            ("POST", r"/api/(?P<s>[^/]+)/logout-session", "logout"),
        ),
        _wppconnect_around,
        re.compile(r"/api/[^/]+/send-message"),
    ),
    "baileys-api": Player(
        BaileysApiDriver,
        _by_path(
            ("GET", r"/status/auth", "health"),
            ("POST", r"/connections/(?P<s>[^/]+)/send-message", "send"),
            ("POST", r"/connections/(?P<s>[^/]+)/on-whatsapp", "session"),
            ("DELETE", r"/connections/(?P<s>[^/]+)", "logout"),
        ),
        _nothing_around,
        re.compile(r"/connections/[^/]+/send-message"),
    ),
}

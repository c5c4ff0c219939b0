"""Which gateway is it that answers so?

By what each answers to a GET without a key, as recorded (tests/fixtures/transcripts) or read in its code; for GOWA and
wuzapi from their documentation alone. None of the paths does anything: WPPConnect's `/unhealthy`, which ends its
process, is not among them, and nothing is sent but GET.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from homing.model.instances.gateways import Recognised, RecognisedGateway

WEBJS, WAHA, EVOLUTION = "webjs", "waha", "evolution"
WPPCONNECT, WWEBJS_API, BAILEYS_API, GOWA, WUZAPI = "wppconnect", "wwebjs-api", "baileys-api", "gowa", "wuzapi"
RECOGNISED = frozenset({WEBJS, WAHA, EVOLUTION, WPPCONNECT, WWEBJS_API, BAILEYS_API, WUZAPI})
"""Whose gateways are recognised whatever key they want: GOWA shows itself to nobody without its login."""

PATHS = ("/health", "/ping", "/healthz", "/", "/status/auth", "/devices", "/session/status")
"""What to ask, in this order, until it is recognised."""
VERSION_PATHS: Mapping[str, str] = {WAHA: "/api/server/version", EVOLUTION: "/"}
"""Where a family tells its version, if that is not known yet. Evolution's root asks the internet, and may be slow."""
_SHOWN = 60
_KINDS = frozenset({"text/html", "text/plain", "application/json", "application/problem+json", "application/xml"})
_SERVERS = frozenset(
    [
        "apache",
        "bun",
        "caddy",
        "cloudflare",
        "envoy",
        "express",
        "fasthttp",
        "gunicorn",
        "haproxy",
        "kestrel",
        "litespeed",
        "nginx",
        "openresty",
        "traefik",
        "uvicorn",
        "werkzeug",
    ]
)
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One answer to a GET."""

    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def said(self) -> Any:
        """The JSON value of the body, or None."""
        try:
            return msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def told(self) -> Mapping[str, Any]:
        """The same if it is an object; else an empty one."""
        said = self.said
        return said if isinstance(said, dict) else {}


def recognise(seen: Sequence[ProbeAnswer]) -> Recognised:
    """What it is, by all answers so far."""
    answers = {each.path: each for each in seen}
    found = (judge(answers) for judge in _JUDGES)
    return Recognised(next((each for each in found if each is not None), None), described(seen))


def next_path(seen: Sequence[ProbeAnswer], asked: Sequence[str]) -> str | None:
    """What to ask next: what could still tell which it is, then its version; None if nothing is left to ask."""
    gateway = recognise(seen).gateway
    if gateway is None:
        return next((path for path in PATHS if path not in asked), None)
    path = VERSION_PATHS.get(gateway.family)
    return path if gateway.version is None and path is not None and path not in asked else None


def described(seen: Sequence[ProbeAnswer]) -> str:
    """How it answers, in a few words: which server, and what it said first.

    Whoever asks may have chosen the address, so no words are told but those that everybody knows.
    """
    if not seen:
        return "nothing"
    first = seen[0]
    server = _WORD.match((first.headers.get("server") or first.headers.get("x-powered-by") or "").lower())
    kind = first.headers.get("content-type", "").partition(";")[0].strip().lower()
    named = f"{server[0]}, which" if server is not None and server[0] in _SERVERS else "something that"
    return f"{named} answers {first.path} with {first.status}" + (f" {kind}" if kind in _KINDS else "")


# --- one for each family ----------------------------------------------------------------------------------------

_Answers = Mapping[str, ProbeAnswer]
_NOTHING = ProbeAnswer("", 0)


def _webjs(answers: _Answers) -> RecognisedGateway | None:
    """controllers/HealthController.js of the Node service; our own instance says the same, and its engine."""
    told = answers.get("/health", _NOTHING).told
    if not isinstance(told.get("status"), str) or not isinstance(told.get("sessions"), dict):
        return None
    name = "a Homing instance" if isinstance(told.get("engine"), str) else "the webjs Node service"
    return RecognisedGateway(WEBJS, name, _text(told.get("version")))


def _waha(answers: _Answers) -> RecognisedGateway | None:
    pong = answers.get("/ping", _NOTHING)
    refused = answers.get("/health", _NOTHING)
    is_core = refused.status == 422 and "waha.devlike" in str(refused.told.get("message"))
    if not is_core and not (pong.status == 200 and dict(pong.told) == {"message": "pong"}):
        return None
    version = answers.get(VERSION_PATHS[WAHA], _NOTHING).told
    engine = _text(version.get("engine"))
    return RecognisedGateway(WAHA, f"WAHA ({engine})" if engine else "WAHA", _text(version.get("version")))


def _evolution(answers: _Answers) -> RecognisedGateway | None:
    """Its root greets; its errors have a shape of their own (src/main.ts)."""
    root = answers.get("/", _NOTHING).told
    if str(root.get("message", "")).startswith("Welcome to the Evolution API"):
        return RecognisedGateway(EVOLUTION, "Evolution API", _text(root.get("version")))
    health = answers.get("/health", _NOTHING).told
    response = health.get("response")
    said = response.get("message") if isinstance(response, dict) else None
    return RecognisedGateway(EVOLUTION, "Evolution API") if said == ["Cannot GET /health"] else None


def _wppconnect(answers: _Answers) -> RecognisedGateway | None:
    """src/middleware/healthCheck.ts."""
    told = answers.get("/healthz", _NOTHING).told
    return (
        RecognisedGateway(WPPCONNECT, "WPPConnect Server") if set(told) == {"uptime", "message", "timestamp"} else None
    )


def _wwebjs_api(answers: _Answers) -> RecognisedGateway | None:
    told = dict(answers.get("/ping", _NOTHING).told)
    return RecognisedGateway(WWEBJS_API, "wwebjs-api") if told == {"success": True, "message": "pong"} else None


def _baileys_api(answers: _Answers) -> RecognisedGateway | None:
    """Its framework's 404 is a bare word; its guard says which key it wants."""
    bare = answers.get("/health", _NOTHING)
    auth = answers.get("/status/auth", _NOTHING)
    guarded = auth.status == 401 and auth.told.get("message") == "Valid API key required"
    is_open = auth.status == 200 and auth.body == b"OK" and (bare.status, bare.body) == (404, b"NOT_FOUND")
    return RecognisedGateway(BAILEYS_API, "baileys-api") if guarded or is_open else None


def _gowa(answers: _Answers) -> RecognisedGateway | None:
    told = answers.get("/devices", _NOTHING).told
    listed = told.get("code") == "SUCCESS" and "results" in told
    return RecognisedGateway(GOWA, "go-whatsapp-web-multidevice") if listed else None


def _wuzapi(answers: _Answers) -> RecognisedGateway | None:
    told = dict(answers.get("/session/status", _NOTHING).told)
    refused = told == {"code": 401, "error": "unauthorized", "success": False}
    return RecognisedGateway(WUZAPI, "wuzapi") if refused else None


_JUDGES: Sequence[Callable[[_Answers], RecognisedGateway | None]] = (
    _webjs,
    _waha,
    _evolution,
    _wppconnect,
    _wwebjs_api,
    _baileys_api,
    _gowa,
    _wuzapi,
)


def _text(value: object) -> str | None:
    return value[:_SHOWN] if isinstance(value, str) and value else None

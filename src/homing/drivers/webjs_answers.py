"""What the answers of a webjs service mean: the seed's Node service, and our own instance, which speaks the same.

Facts of the Node service (ltmoerdani/blazz, folder whatsapp-service) are cited by file below `src/`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import inf
from typing import Any

import msgspec

from homing.drivers.connection import Reply
from homing.drivers.values import CODE_MAX, NAME_MAX, count_in, epoch_in, measure_in, text_in
from homing.drivers.words import shown, words_of
from homing.model.faults import Fault, Phase
from homing.model.fleet import Capabilities
from homing.model.sending import Receipt
from homing.ports import InstanceHealth, PairingCode

_CAPABILITY_NAMES = frozenset(field.name for field in fields(Capabilities))
_LONGEST_WAIT_S = 24 * 3600.0
_DIGITS_MAX = 30
_MILLISECONDS_FROM = 100_000_000_000
"""Unix timestamps above this are milliseconds: in seconds they would lie after the year 5000."""
_PAIRING_EXPIRES_S = 300
"""controllers/SessionController.js, regenerateQR."""

_NEEDS_PAIRING = "logged_out"

_NOT_HELD_WORDS = ("session not found",)
_NOT_READY_WORDS = (
    "session not connected",
    "session is not connected",
    "session not ready",
    "session is not ready",
    "not ready",
)
_NEVER_LEFT_500_WORDS: tuple[tuple[str, Phase], ...] = (
    # managers/SessionManager.js throws both before it touches WhatsApp. The controllers turn them into 404 and 400
    # for sends; in older versions, and from other routes, they come as 500.
    ("session not found", Phase.SESSION_NOT_FOUND),
    ("session not connected", Phase.SESSION_NOT_READY),
    # Puppeteer refuses a command on a page that is gone already, before it writes anything to the browser. A page
    # lost in the middle of a command reads "Target closed" instead, and stays ambiguous. The service goes on listing
    # such a session as connected, since its own note of a disconnect fails (SessionManager.js calls `logger.warning`,
    # which winston does not have).
    ("session closed. most likely the page has been closed", Phase.SESSION_NOT_READY),
    ("attempted to use detached frame", Phase.SESSION_NOT_READY),
)
_PERMANENT_500_WORDS = (
    # What WhatsApp Web says of a recipient before there is a message, and will say again. Other words of its own
    # ("Evaluation failed: t", "Cannot read properties of undefined") come after a message went out, too.
    # Making an address of the number: `createWid` is at the top of the stack (whatsapp-web.js issues "wid error:
    # invalid wid", seen with 1.34; wwebjs-api 1.0.0 passes the same words on).
    "wid error",
    "invalid wid",
    # Looking for the person's hidden id, to open the chat: `toUserLidOrThrow` below `findOrCreateLatestChat` and
    # `WWebJS.getChat`, which `sendMessage` calls first (whatsapp-web.js 1.34.1, issues "No LID for user"). Nobody has
    # WhatsApp at this number, or the session never met the person.
    "no lid for user",
)
_PROXY_STATUSES = frozenset({407, 421, 511})
"""RFC 9110 and RFC 6585: a proxy wants a login, or the request came to the wrong server. Nobody processed it."""
_REDIRECT_WORDS = "it answered with a redirect"


def said_by(body: bytes) -> Any:
    """The JSON value of a body, or None if it is not JSON.

    One value that no number or text of ours can hold must not cost the rest: 1e400 and the like are infinite, which no
    value may be, and half a character is no text that is taken.
    """
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        pass
    try:
        return _patient.decode(body.decode())
    except (ValueError, RecursionError):
        return None


def _integer(word: str) -> int | float:
    return int(word) if len(word) <= _DIGITS_MAX else inf


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_patient = json.JSONDecoder(parse_int=_integer, parse_constant=_no_number)


# --- faults -------------------------------------------------------------------------------------------------------


def fault_of(reply: Reply, secrets: Iterable[str] = ()) -> Fault:
    """The fault that an answer other than 200 is."""
    said = said_by(reply.body)
    told: Mapping[str, Any] = said if isinstance(said, dict) else {}
    words = _words(told, reply)
    phase = _phase(reply.status, told, words.lower())
    return Fault(
        phase,
        shown(words, secrets),
        reply.status,
        retry_after_s=_retry_after_s(reply.headers) if phase in (Phase.THROTTLED, Phase.UNAVAILABLE) else None,
        epoch=epoch_in(told.get("epoch")) if phase is Phase.EPOCH_STALE else None,
    )


def malformed(reply: Reply, why: str, secrets: Iterable[str] = ()) -> Fault:
    return Fault(Phase.REPLY_MALFORMED, shown(why, secrets), reply.status)


def _words(told: Mapping[str, Any], reply: Reply) -> str:
    if 300 <= reply.status < 400:
        return f"{_REDIRECT_WORDS} to {reply.headers.get('location', 'nowhere')}"
    for name in ("error", "message", "detail"):
        if isinstance(told.get(name), str) and told[name]:
            return str(told[name])
    return "" if told else reply.body[:400].decode("utf-8", "replace")


def _phase(status: int, told: Mapping[str, Any], words: str) -> Phase:
    if told.get("code") in (463, "463") and status >= 400:
        return Phase.RECIPIENT_RESTRICTED
    match status:
        case 400 | 422:
            # The Node service says no in JSON. A page comes from a proxy that could not read the request, or from
            # Express for a body that is no JSON, and ours is: it says nothing of the message.
            return _refused_phase(told, words) if told else Phase.MISDIRECTED
        case 401 | 403:
            return Phase.UNAUTHORISED
        case _ if 300 <= status < 400 or status in _PROXY_STATUSES:
            return Phase.MISDIRECTED
        case 404 | 405:
            held_nowhere = status == 404 and told and words.startswith(_NOT_HELD_WORDS)
            return Phase.SESSION_NOT_FOUND if held_nowhere else Phase.PATH_NOT_FOUND
        case 408:
            # middleware/TimeoutHandler.js answers so after 45 s of a send, which goes on all the same.
            return Phase.GATEWAY_TIMED_OUT
        case 409:
            return Phase.EPOCH_STALE if epoch_in(told.get("epoch")) is not None else Phase.REQUEST_REJECTED
        case 429:
            return Phase.THROTTLED
        case _:
            return _server_phase(status, told, words)


def _refused_phase(told: Mapping[str, Any], words: str) -> Phase:
    """400 and 422: the session cannot send (here, wait), or the request can never be taken.

    Whether `qr_scanning` waits for a person is not told by the word: it is looked up.
    """
    if not any(phrase in words for phrase in _NOT_READY_WORDS):
        return Phase.REQUEST_REJECTED
    if told.get("status") == _NEEDS_PAIRING:
        return Phase.SESSION_LOGGED_OUT
    return Phase.SESSION_NOT_READY


def _server_phase(status: int, told: Mapping[str, Any], words: str) -> Phase:
    if 400 <= status < 500:
        return Phase.REQUEST_REJECTED
    if status < 300:
        return Phase.REPLY_MALFORMED
    if status == 500 and told:
        if any(phrase in words for phrase in _PERMANENT_500_WORDS):
            return Phase.REQUEST_REJECTED
        for phrase, phase in _NEVER_LEFT_500_WORDS:
            if phrase in words:
                return phase
    known = {502: Phase.BAD_GATEWAY, 503: Phase.UNAVAILABLE, 504: Phase.GATEWAY_TIMED_OUT}
    return known.get(status, Phase.SERVER_ERROR)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds; a date in it is measured against the answer's own `Date`, so no clock has to agree."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), _LONGEST_WAIT_S)
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), _LONGEST_WAIT_S)


# --- values -------------------------------------------------------------------------------------------------------


def receipt_of(reply: Reply, secrets: Iterable[str] = ()) -> Receipt | Fault:
    """The receipt of a send, or a fault that leaves open whether the message left.

    `success: false` in a 200 is such a fault too: the service never says so of a send, and not to have succeeded is
    not to have sent nothing. So is a missing id: whatsapp-web.js returns no message for some that it sent.
    """
    said = said_by(reply.body)
    if not isinstance(said, dict):
        return malformed(reply, _not_the_service(reply))
    message_id = text_in(said.get("message_id"), NAME_MAX)
    if said.get("success") is not True:
        return malformed(reply, f"a {reply.status} without success: {words_of(said.get('error'))}", secrets)
    if message_id is None or not message_id.strip():
        return malformed(reply, f"a {reply.status} without a message id")
    return Receipt(message_id, _unix_s(said.get("timestamp")))


def _not_the_service(reply: Reply) -> str:
    if reply.body.lstrip()[:1] == b"<":
        return "the answer to a send was a web page, of a proxy or of another service; what became of it is not known"
    return "the answer to a send was not a JSON object"


def _unix_s(value: object) -> int:
    try:
        seconds = int(float(value)) if isinstance(value, (int, float, str)) else 0
    except (ValueError, OverflowError):
        return 0
    if seconds >= _MILLISECONDS_FROM:
        seconds //= 1000
    return seconds if 0 < seconds < _MILLISECONDS_FROM else 0


def pairing_of(reply: Reply, secrets: Iterable[str] = ()) -> PairingCode | Fault:
    """What the answer holds to scan or type. Nothing means that it comes by webhook, as `qr_code_generated`."""
    said = said_by(reply.body)
    if not isinstance(said, dict):
        return malformed(reply, "the answer about pairing was not a JSON object")
    if said.get("success") is False:
        return Fault(Phase.REQUEST_REJECTED, words_of(said.get("error"), secrets), reply.status)
    return PairingCode(
        text_in(said.get("qr_code"), CODE_MAX),
        text_in(said.get("pairing_code"), NAME_MAX),
        count_in(said.get("expires_in")) or _PAIRING_EXPIRES_S,
        connected=said.get("status") == "connected",
    )


def health_of(reply: Reply, base: Capabilities) -> InstanceHealth | Fault:
    """What `/health` says. What it does not declare is as the family has it."""
    said = said_by(reply.body)
    if not isinstance(said, dict) or not isinstance(said.get("status"), str):
        return malformed(reply, "the answer about health was not an object with a status")
    sessions, memory, lease = _part(said, "sessions"), _part(said, "memory"), _part(said, "lease")
    return InstanceHealth(
        capabilities=_capabilities(_part(said, "capabilities"), base),
        incarnation=_text(said.get("incarnation")),
        engine=_text(said.get("engine")),
        version=_text(said.get("version")),
        sessions_total=count_in(sessions.get("total")),
        sessions_connected=count_in(sessions.get("connected")),
        memory_used_mb=measure_in(memory.get("used")),
        sends_per_s=measure_in(said.get("sends_per_s")),
        uptime_s=measure_in(said.get("uptime")),
        paused=lease.get("state") == "paused",
        key_header=_text(said.get("key_header")),
    )


def _part(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = said.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str | None:
    return _shown(value) or None if isinstance(value, str) else None


@lru_cache(1_024)
def _shown(name: str) -> str:
    """An instance says the same names of itself each second."""
    return shown(name)


def _capabilities(declared: Mapping[str, Any], base: Capabilities) -> Capabilities:
    known = (each for each in declared.items() if each[0] in _CAPABILITY_NAMES and isinstance(each[1], bool))
    return _with(base, tuple(known))


@lru_cache(1_024)
def _with(base: Capabilities, declared: tuple[tuple[str, bool], ...]) -> Capabilities:
    return replace(base, **dict(declared))

"""What does a report mean: is it the same as one before, does it hint at a change of place, how much of it is kept?"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from homing.model.instances.events import Meaning, Report
from homing.model.instances.report_body import BIG, ID_MAX, cleaned

REPEATED_WITHIN_S = 60.0
"""Senders sign a retry anew; what says the same within this time is taken for one."""
NAMED_WITHIN_S = 3 * 86_400.0
"""An event with an id of its own, or of a message, is the same for days."""

ARRIVED = frozenset({"session_ready", "session_authenticated", "session_reconnected", "session_status_changed"})
LEFT = frozenset({"session_disconnected", "session_error", "session_marked_disconnected"})
CHANGED = frozenset({"session_starting", "session_pairing"})
HINTS = ARRIVED | LEFT | CHANGED
"""What makes us look where a session is, and how."""

QR_CODE, QR_FIELD = "qr_code_generated", "qr_code"
FOLLOWED = HINTS | {QR_CODE}
"""A code comes again and again while nobody scans it: nobody looks back for one that was not followed."""

_ONCE = frozenset({"message_received", "message_sent"})
"""A message arrives, and goes out, once."""
_PROGRESS = frozenset(
    {
        "message_status_updated",
        "message_ack",
        "message_delivered",
        "message_read",
        "message_played",
        "message_ack_group",
    }
)
_TIMES = frozenset({"timestamp", "t", "time", "date"})
_WHO = ("participant", "author", "sender", "sender_id", "senderId", "reader", "voter", "from", "from_me", "fromMe")
"""Who did it, as gateways name that."""

_ITEMS_MAX = 200
_TEXT_MAX = 16_384
_KEPT_DEPTH = 12
_HINT_RULE = "hint:"
_ABOUT_LENGTH = len("said:") + 32
_PAYLOAD_MAX = 65_536
_LARGEST = 2**63 - 1


def message_of(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of an event's data that describes a message: some gateways put it one level down."""
    message = data.get("message")
    return message if isinstance(message, dict) else data


def message_id_of(data: Mapping[str, Any]) -> str | None:
    """WhatsApp's id of the message that an event is about, as the gateway spells it."""
    for given in (message_of(data).get("id"), data.get("message_id"), message_of(data).get("message_id")):
        value = (given.get("_serialized") or given.get("id")) if isinstance(given, dict) else given
        if isinstance(value, str) and 0 < len(value) <= ID_MAX:
            return cleaned(value)
    return None


# --- sameness -------------------------------------------------------------------------------------------------


def meaning(report: Report) -> Meaning:
    """What makes the report the occurrence that it is; a retry says the same however it is signed.

    By the sender's own id where there is one. What can happen once only (a message that arrived) by what makes it once;
    how far a message got by all that is said of it but the time: the level, and who it was. What can happen again and
    be undone (a reaction, an edit, a vote, a call) by all that is said of it; it is the same only until something else
    is told of the same thing by the same person. What is told of a session by its id is the same from whichever
    instance: after a move the next one tells it again.
    """
    is_hint = report.kind in HINTS
    if report.sender_id is not None:
        whose = report.session_id or report.instance_url
        key = _key(report, "id:", whose, report.kind, report.sender_id)
        return Meaning(key, NAMED_WITHIN_S, _HINT_RULE if is_hint else "")
    if is_hint:
        key = _key(report, _HINT_RULE, report.instance_url, report.session_id, report.kind, report.data)
        return Meaning(key, REPEATED_WITHIN_S, _HINT_RULE)
    message_id = message_id_of(report.data)
    kind = report.kind.replace(".", "_")
    if message_id is not None and report.session_id is not None and kind in _ONCE | _PROGRESS:
        told = _timeless(report.data) if kind in _PROGRESS else None
        return Meaning(_key(report, "message:", report.session_id, report.kind, message_id, told), NAMED_WITHIN_S)
    return _repeatable(report, message_id)


def _repeatable(report: Report, message_id: str | None) -> Meaning:
    """What may happen again: news of the same thing by the same person ends what was told of it before."""
    data, message = report.data, message_of(report.data)
    if report.kind == QR_CODE:  # no code comes twice, and the retry of an older one is no newer code
        return Meaning(_key(report, "said:", report.session_id, report.kind, data), NAMED_WITHIN_S)
    known = message_id is not None and report.session_id is not None
    who = [message.get(name, data.get(name)) for name in _WHO]
    where = None if known else report.instance_url
    about = _key(report, "said:", report.session_id, where, report.kind, message_id, who)[:_ABOUT_LENGTH] + ":"
    is_of_something = known or any(each is not None for each in who)
    window_s = NAMED_WITHIN_S if known else REPEATED_WITHIN_S
    return Meaning(_key(report, about, data), window_s, about if is_of_something else "")


def _timeless(data: Mapping[str, Any]) -> dict[str, Any]:
    """A level is reached once by each reader and device, whenever that is told."""
    return {
        name: _timeless(value) if name == "message" and isinstance(value, dict) else value
        for name, value in data.items()
        if name not in _TIMES
    }


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _key(report: Report, rule: str, *parts: object) -> str:
    text = _canonical.encode(parts) if report.size <= BIG else "".join(_canonical.iterencode(parts))
    return f"{rule}{hashlib.sha256(text.encode()).hexdigest()}"


# --- keeping --------------------------------------------------------------------------------------------------


def bounded(data: Mapping[str, Any], *, is_big: bool = False) -> dict[str, Any]:
    """The data as it is kept: long texts (media, mostly) and long lists are cut, and the whole has a limit."""
    kept = {cleaned(name)[:ID_MAX]: _bounded(value, _KEPT_DEPTH) for name, value in _first(data.items())}
    size = sum(map(len, _plain.iterencode(kept))) if is_big else len(_plain.encode(kept))
    if size <= _PAYLOAD_MAX:
        return kept
    plain = {name: value for name, value in kept.items() if not isinstance(value, dict | list) and _small(value)}
    return {**dict(list(plain.items())[:50]), "left_out": f"{size} characters, more than are kept"}


_plain = json.JSONEncoder()


def _bounded(value: Any, depth: int) -> Any:
    match value:
        case str():
            return cleaned(value) if len(value) <= _TEXT_MAX else f"{cleaned(value[:100])}… ({len(value)} characters)"
        case dict() | list() if depth == 0:
            return "…"
        case dict():
            return {cleaned(name)[:ID_MAX]: _bounded(each, depth - 1) for name, each in _first(value.items())}
        case list():
            return [_bounded(each, depth - 1) for each in _first(value)]
        case int() if abs(value) > _LARGEST:
            return str(value)
        case float() if not math.isfinite(value):
            return None  # 1e400: its sender would not send the report again if we refused it for that
        case _:
            return value


def _first(items: Iterable[Any]) -> list[Any]:
    return list(items)[:_ITEMS_MAX]


def _small(value: Any) -> bool:
    return not isinstance(value, str) or len(value) <= 500

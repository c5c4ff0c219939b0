"""The body of a report: one JSON object, of reasonable depth, with nothing in it that no JSON can carry on."""

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

from homing.model.fleet import SessionId

BIG = 65_536
"""Bytes of a body. A larger one is read and written with steps of Python in between, at which a thread can give way:
the faster way keeps every other thread waiting until it is through."""
DEPTH_MAX = 64
ID_MAX = 200


class Malformed(ValueError):
    """A report that is not what the protocol says. The message is a sentence."""


class UnreadableBody(Malformed):
    """A body that is no JSON that anybody could read."""


def json_object(raw: bytes) -> dict[str, Any]:
    """A body that is one JSON object of reasonable depth. Raises Malformed."""
    try:
        reader = _reader if len(raw) <= BIG else _patient_reader
        body = reader.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise UnreadableBody("The body is not JSON") from error
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object")
    if _deeper_than(body, DEPTH_MAX):
        raise UnreadableBody(f"The body is nested deeper than {DEPTH_MAX}")
    return body


def session_of(given: object) -> SessionId | None:
    """A session's id, if it can be one."""
    return SessionId(cleaned(given)) if isinstance(given, str) and 0 < len(given) <= ID_MAX else None


def cleaned(text: str) -> str:
    """The text without halves of characters, which neither JSON nor a database can carry on."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def moment_of(given: object) -> datetime | None:
    """A time as gateways write it: unix seconds, unix milliseconds, or ISO 8601; None for what is none."""
    try:
        if isinstance(given, str) and not given.isdecimal():
            moment = datetime.fromisoformat(given)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            return None
        seconds = float(given)
        return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC) if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _deeper_than(value: Any, depth: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(depth == 0 or _deeper_than(each, depth - 1) for each in inside)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


# `json.loads` would make one for each body.
_reader = json.JSONDecoder(parse_constant=_no_number)
_patient_reader = json.JSONDecoder(
    parse_constant=_no_number, parse_int=lambda digits: int(digits), object_pairs_hook=lambda pairs: dict(pairs)
)

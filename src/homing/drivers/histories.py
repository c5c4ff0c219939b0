"""What the answers to a look into a chat have in common: a list of messages, of which each has an id."""

from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from homing.drivers import reading
from homing.drivers.http.wire import MIB, Reply
from homing.drivers.values import is_int
from homing.model.sends.faults import Fault
from homing.model.sends.history import HISTORY_MAX, ChatHistory, SeenMessage

HISTORY_BYTES: Final = 8 * MIB
"""Engines tell everything that they have of a message, small pictures too."""
_SHA256_BYTES = 32
_ROWS_MAX = 1_000

Read = Callable[[Mapping[str, Any]], SeenMessage | None]
"""One message of a list; None for what is no message, or has no id."""


def history_of(reply: Reply, rows: object, read: Read, secrets: Sequence[str]) -> ChatHistory | Fault:
    """The messages that these rows are. One that cannot be read is none; a list that is none is a fault."""
    if not isinstance(rows, list) or len(rows) > _ROWS_MAX:
        return reading.malformed(reply, "the answer about a chat was not a list of its messages", secrets)
    seen = [read(row) if isinstance(row, dict) else None for row in rows]
    found = {each.message_id: each for each in seen if each is not None}
    cut = len(rows) >= HISTORY_MAX
    return ChatHistory(tuple(found.values()), cut, says_at=reading.clock_of(reply))


def sha256_in(value: object) -> str | None:
    """A SHA-256 in hex, given as base64, or as its bytes in the ways in which JSON has them."""
    match value:
        case str():
            try:
                digest = b64decode(value, validate=True)
            except (Error, ValueError):
                return None
        case {"type": "Buffer", "data": list() as data}:
            return sha256_in(data)
        case dict() if len(value) == _SHA256_BYTES:
            return sha256_in([value.get(str(place)) for place in range(_SHA256_BYTES)])
        case list() if all(is_int(each) and 0 <= each < 256 for each in value):
            digest = bytes(value)
        case _:
            return None
    return digest.hex() if len(digest) == _SHA256_BYTES else None


def reached_by(level: int | None) -> bool | None:
    """Whether WhatsApp has a message, by the level of its acknowledgement; None where none was told."""
    return None if level is None else level >= 2

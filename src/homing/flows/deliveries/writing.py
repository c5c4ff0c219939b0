"""How a document is written down for the way out: the same bytes are signed and sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def encoded(document: Mapping[str, Any]) -> bytes:
    """The document in JSON, as UTF-8."""
    return _encode(document).encode("utf-8", "replace")


def encoded_list(documents: Sequence[Mapping[str, Any]]) -> bytes:
    """Several in one list."""
    return _encode(list(documents)).encode("utf-8", "replace")

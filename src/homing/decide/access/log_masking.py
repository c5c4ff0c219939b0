"""What may a line of the log show of numbers and secrets?"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

_SHOWN_DIGITS = 3
_SECRET = re.compile(r"secret|token|password|passwd|api_?key$|credential|authorization", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.-])\+?\d{9,15}(?!\w|-\d|\.\d)")
"""Digits that stand by themselves. Ids of sessions and messages, times and versions do not."""
_FIELDS_AS_THEY_ARE = frozenset({"at", "trace_id", "level"})


def masked(line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line, with the last digits only of each phone number, and no value whose name says that it is secret."""
    for name, value in line.items():
        if name not in _FIELDS_AS_THEY_ARE:
            line[name] = _value(name, value)
    return line


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if _SECRET.search(name):
            return "***" if value else value
        return _NUMBER.sub(_last_digits, value)
    if isinstance(value, Mapping):
        return {key: _value(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(name, each) for each in value]
    return value


def _last_digits(found: re.Match[str]) -> str:
    said = found[0]
    return re.sub(r"\d", "*", said[:-_SHOWN_DIGITS]) + said[-_SHOWN_DIGITS:]

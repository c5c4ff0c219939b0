"""A JSON body that holds a file: its `media_base64` is taken out while the body comes in.

What is left is the same body with an empty text in its place, and is read as any other body is. Only a member of the
body's own object counts; the file is decoded in pieces, and a body without one is passed on as it is.
"""

import binascii
from base64 import b64decode
from enum import Enum, auto

from homing.model.errors import Code, Problem

FIELD = b"media_base64"
_PREFIX_MAX = 200
"""Of a data URL, before its comma."""
_SPACE = b" \t\r\n"
_DROPPED = _SPACE + b"\\"
"""In base64 a backslash stands only before the slash that some encoders escape; escaped line ends are not taken."""


class _At(Enum):
    OUTSIDE = auto()
    STRING = auto()
    ESCAPE = auto()
    FILE = auto()


class Base64InJson:
    """`feed` answers what of the file is in a chunk; `rest` is the body without it. Raises Problem."""

    def __init__(self, rest_max: int) -> None:
        self.rest = bytearray()
        self.found = False
        self._rest_max = rest_max
        self._at, self._depth = _At.OUTSIDE, 0
        self._string = bytearray()
        self._key = self._meant = False
        """The last string was our field's name; and the colon behind it was there."""
        self._pending = b""
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        out, at = bytearray(), 0
        while at < len(chunk):
            if self._at is _At.FILE:
                end = chunk.find(b'"', at)
                out += self._decoded(chunk[at : end if end >= 0 else len(chunk)])
                if end < 0:
                    break
                out += self._last()
                self._at, at = _At.OUTSIDE, end
                self.rest += b'"'
                at += 1
                continue
            self._step(chunk[at])
            at += 1
        if len(self.rest) > self._rest_max:
            raise Problem(Code.BODY_TOO_LARGE, f"The body without its file is larger than {self._rest_max} bytes")
        return bytes(out)

    def _step(self, byte: int) -> None:
        self.rest.append(byte)
        match self._at:
            case _At.ESCAPE:
                self._string.append(byte)
                self._at = _At.STRING
            case _At.STRING:
                if byte == 0x22:
                    self._key = self._depth == 1 and self._string == FIELD
                    self._at = _At.OUTSIDE
                else:
                    self._string.append(byte)
                    self._at = _At.ESCAPE if byte == 0x5C else _At.STRING
            case _:
                self._outside(byte)

    def _outside(self, byte: int) -> None:
        if byte == 0x22:
            if self._meant and not self.found:
                self.found, self._meant, self._at = True, False, _At.FILE
                return
            self._string.clear()
            self._at = _At.STRING
        elif byte in b"{[":
            self._depth += 1
        elif byte in b"}]":
            self._depth -= 1
        if byte not in _SPACE:
            self._meant = byte == 0x3A and self._key
            self._key = False

    def _decoded(self, text: bytes) -> bytes:
        self._pending += text.translate(None, _DROPPED)
        if not self._begun:
            if self._pending.startswith(b"data:"[: len(self._pending)]) and b"," not in self._pending:
                if len(self._pending) > _PREFIX_MAX:
                    raise _bad()
                return b""
            if self._pending.startswith(b"data:"):
                self._pending = self._pending.partition(b",")[2]
            self._begun = True
        whole = len(self._pending) // 4 * 4
        ready, self._pending = self._pending[:whole], self._pending[whole:]
        return _plain(ready)

    def _last(self) -> bytes:
        if self._pending and not self._begun:
            raise _bad()
        rest, self._pending = self._pending, b""
        return _plain(rest + b"=" * (-len(rest) % 4)) if rest else b""


def _plain(text: bytes) -> bytes:
    if b"=" in text[:-2]:
        raise _bad()
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad() from None


def _bad() -> Problem:
    return Problem(Code.INVALID_REQUEST, "media_base64 is no base64", field="media_base64")

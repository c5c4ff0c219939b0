"""Frames: three bytes of length before each; before a connection's first one a header, and perhaps where to route it.

As Baileys 7.0.0-rc14 writes it: ``ED`` 0 1, three bytes of length, routing bytes; then ``WA`` and two bytes of version.
"""

from simulated_whatsapp.multidevice.wire.noise import HEADER

MAX_FRAME_BYTES = 16 * 1024 * 1024 - 1
_ROUTED = b"ED\x00\x01"


class BadFrame(ValueError):
    """The bytes of a connection make no sense from here on."""


def framed(data: bytes) -> bytes:
    """Raises ``BadFrame`` for what no frame can hold."""
    if len(data) > MAX_FRAME_BYTES:
        raise BadFrame(f"a frame holds {MAX_FRAME_BYTES} bytes, not {len(data)}")
    return len(data).to_bytes(3, "big") + data


def opening(routing: bytes = b"") -> bytes:
    """What stands before a client's first frame."""
    return (_ROUTED + framed(routing) if routing else b"") + HEADER


class Frames:
    """Bytes in, frames out. ``intro`` says that the header is yet to come: on the server's side."""

    def __init__(self, *, intro: bool) -> None:
        self.routing = b""
        self._intro = intro
        self._rest = b""

    def fed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now. Raises ``BadFrame``."""
        self._rest += data
        if self._intro and not self._introduced():
            return []
        found = []
        while (frame := self._next(0)) is not None:
            found.append(frame)
            self._rest = self._rest[3 + len(frame) :]
        return found

    def _introduced(self) -> bool:
        start = 0
        if self._rest.startswith(_ROUTED):
            routing = self._next(len(_ROUTED))
            if routing is None:
                return False
            self.routing, start = routing, len(_ROUTED) + 3 + len(routing)
        header = self._rest[start : start + len(HEADER)]
        routed_to_come = not start and _ROUTED.startswith(self._rest[:4])
        if not (routed_to_come or HEADER.startswith(header)):
            raise BadFrame(f"a connection starts with {HEADER!r}, not with {header!r}")
        if header != HEADER:
            return False
        self._rest, self._intro = self._rest[start + len(HEADER) :], False
        return True

    def _next(self, at: int) -> bytes | None:
        size = int.from_bytes(self._rest[at : at + 3], "big")
        if len(self._rest) < at + 3 + size or len(self._rest) < at + 3:
            return None
        return self._rest[at + 3 : at + 3 + size]

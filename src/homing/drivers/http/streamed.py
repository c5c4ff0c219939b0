"""A request's body that is never whole in memory: what stands before a file, the file, what stands after it."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from homing.model.sends.calls import MediaUnavailable

PIECE_BYTES = 192 * 1024
"""Of a file, at a time; a multiple of three, so that base64 pads at the end alone."""


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """`size` is of the file in bytes, which `chunks` has to keep to. In `as_base64` it goes out by a third longer."""

    before: bytes
    chunks: Callable[[], AsyncIterator[bytes]]
    size: int
    after: bytes
    as_base64: bool

    def __len__(self) -> int:
        """Bytes on the wire."""
        middle = (self.size + 2) // 3 * 4 if self.as_base64 else self.size
        return len(self.before) + middle + len(self.after)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body in order. Raises MediaUnavailable where the file cannot be read, or is not as long as was said."""
        yield self.before
        async for piece in self._even():
            yield base64.b64encode(piece) if self.as_base64 else piece
        yield self.after

    async def _even(self) -> AsyncIterator[bytes]:
        """The file in pieces of one length, but for the last."""
        rest, seen = bytearray(), 0
        async for chunk in self.chunks():
            seen += len(chunk)
            rest += chunk
            while len(rest) >= PIECE_BYTES:
                yield bytes(rest[:PIECE_BYTES])
                del rest[:PIECE_BYTES]
        if seen != self.size:
            raise MediaUnavailable(f"the file has {seen} bytes, and {self.size} were announced")
        if rest:
            yield bytes(rest)

"""A reply's body that is never whole in memory: it is read as fast as whoever wants it takes it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.faults import Fault

WAITING_BYTES = 512 * 1024
"""So much of a body waits here before its peer is held back."""


class BodySink:
    """Where the body of one good reply goes. One that is not good goes the usual way, and nothing is begun here."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.headers: Mapping[str, str] = {}
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._more = asyncio.Event()
        self._hold: Callable[[], None] | None = None
        self._go_on: Callable[[], None] | None = None
        self._held = self._over = False
        self._fault: Fault | None = None

    # --- for the connection -------------------------------------------------------------------------------------

    def begin(self, headers: Mapping[str, str], hold: Callable[[], None], go_on: Callable[[], None]) -> None:
        """`hold` and `go_on` have the peer wait, and go on."""
        self.headers, self._hold, self._go_on = headers, hold, go_on
        self.begun.set()

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._waiting += len(piece)
        self._more.set()
        if self._waiting > WAITING_BYTES and not self._held and self._hold is not None:
            self._held = True
            self._hold()

    def end(self, fault: Fault | None) -> None:
        """Nothing more comes: it is whole, or broke off."""
        self._over, self._fault = True, fault
        self._release()
        self._more.set()

    # --- for the reader -----------------------------------------------------------------------------------------

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body from its beginning. Raises MediaUnavailable where it breaks off."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                if self._waiting <= WAITING_BYTES // 2:
                    self._release()
                yield piece
            if self._over:
                if self._fault is not None:
                    raise MediaUnavailable(f"it broke off: {self._fault}")
                return
            self._more.clear()
            await self._more.wait()

    def _release(self) -> None:
        if self._held and self._go_on is not None:
            self._held = False
            self._go_on()

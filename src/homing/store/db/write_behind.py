"""Notes that nobody waits for, written together a little later."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from homing.ports import StoreUnavailable

Key = TypeVar("Key")
Note = TypeVar("Note")

_LONGEST_PAUSE_S = 2.0


class WriteBehind(Generic[Key, Note]):
    """Notes that are written a little later, many at once, and once more if that failed.

    The oldest are given up when there are more than `kept`.
    """

    def __init__(self, write: Callable[[Sequence[Note]], Awaitable[None]], *, within_s: float, kept: int) -> None:
        self._write, self._within_s, self._kept = write, within_s, kept
        self._notes: dict[Key, Note] = {}
        self._writing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, key: Key, note: Note) -> None:
        if self._closed:
            return
        self._notes[key] = note
        if len(self._notes) > self._kept:
            del self._notes[next(iter(self._notes))]
        if self._later is None:
            self._later = asyncio.ensure_future(self._write_later())

    def get(self, key: Key) -> Note | None:
        """What was noted of this and is not written yet."""
        return self._notes.get(key)

    async def write_now(self) -> None:
        """Write all that was noted until now. Raises what writing raises; the notes stay."""
        async with self._writing:
            written = dict(self._notes)
            if not written:
                return
            await self._write(list(written.values()))
            for key, note in written.items():
                if self._notes.get(key) is note:
                    del self._notes[key]

    async def close(self) -> None:
        """Take nothing more, and write what was noted. Raises what writing raises."""
        self._closed = True
        if self._later is not None:
            self._later.cancel()
            await asyncio.wait([self._later])
        await self.write_now()

    async def _write_later(self) -> None:
        pause_s = self._within_s
        try:
            while self._notes:
                await asyncio.sleep(pause_s)
                try:
                    await self.write_now()
                    pause_s = self._within_s
                except StoreUnavailable:
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._later = None

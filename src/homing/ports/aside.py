"""Work that takes long, and that nobody else is to wait for: done beside the loop, or in slices on it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from homing.ports import Clock

T = TypeVar("T")

SLICE = 1_000
"""Sessions that are looked at before others have their turn: a few milliseconds' worth."""


class Aside(Protocol):
    """Does a piece of pure work beside the loop, and returns what it returns."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def at_once(work: Callable[[], T], /) -> T:
    """For where time is not real, and nobody waits."""
    return work()


class Slices:
    """Lets others have their turn after so many things were done, however many there are."""

    def __init__(self, clock: Clock, of: int = SLICE) -> None:
        self._clock, self._of, self._done = clock, of, 0

    async def after(self, things: int = 1) -> None:
        self._done += things
        if self._done >= self._of:
            self._done = 0
            await self._clock.sleep(0)

"""Time and chance."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The passing of time. `monotonic` is in seconds and never goes back; `now` is UTC and may."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime: ...

    async def sleep(self, delay_s: float) -> None: ...


class Entropy(Protocol):
    """Chance, so that a seed can replay it."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def token(self, length_bytes: int) -> bytes: ...

    def uuid(self) -> str:
        """A UUID of version 7: later ones sort after earlier ones."""
        ...

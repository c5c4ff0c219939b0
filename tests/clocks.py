"""A clock that moves only when told to."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

PassTime = Callable[[float], Coroutine[Any, Any, None]]
"""Lets a store's clock run ahead by so many seconds."""


class SteppedClock:
    """Stands in for the Clock port where nothing sleeps for long."""

    def __init__(self) -> None:
        self._passed_s = 0.0

    def advance(self, by_s: float) -> None:
        self._passed_s += by_s

    def monotonic(self) -> float:
        return self._passed_s

    def now(self) -> datetime:
        return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=self._passed_s)

    async def sleep(self, delay_s: float) -> None:
        self.advance(delay_s)

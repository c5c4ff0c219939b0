"""The clock and the chance of a simulation: `ports.Clock` and `ports.Entropy`, repeatable from a seed."""

import asyncio
import random
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from homing.lab.sim.loop import VirtualLoop
from homing.ports import Clock

STARTED_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""What the wall clock shows when virtual time begins."""


class VirtualClock:
    """Time as the running loop has it, or `loop`, if it is known before it runs.

    Its wall clock may be wrong: by `skew_s` from the start, and by jumps.
    """

    def __init__(
        self, *, loop: VirtualLoop | None = None, started_at: datetime = STARTED_AT, skew_s: float = 0.0
    ) -> None:
        self._time = loop.time if loop is not None else _running_s
        self._started_at, self._skew_s = started_at, skew_s

    def monotonic(self) -> float:
        return self._time()

    def now(self) -> datetime:
        return self._started_at + timedelta(seconds=self._time() + self._skew_s)

    def jump(self, by_s: float) -> None:
        """Set the wall clock forward, or back; `monotonic` goes on as if nothing was."""
        self._skew_s += by_s

    def sleep(self, delay_s: float) -> Coroutine[Any, Any, None]:
        return asyncio.sleep(delay_s)


def _running_s() -> float:
    return asyncio.get_running_loop().time()


class SeededEntropy:
    """Chance from a seed: the same questions get the same answers."""

    def __init__(self, seed: int, clock: Clock | None = None) -> None:
        self._random = random.Random(f"chance {seed}")  # noqa: S311 - to be repeatable
        self._clock = clock or VirtualClock()
        self._last = 0

    def random(self) -> float:
        return self._random.random()

    def token(self, length_bytes: int) -> bytes:
        return self._random.randbytes(length_bytes)

    def uuid(self) -> str:
        """48 bits of milliseconds, 12 that count within one, 62 of chance."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        self._last = max(milliseconds << 12, self._last + 1)
        value = (self._last >> 12) << 80 | 7 << 76 | (self._last & 0xFFF) << 64 | 2 << 62 | self._random.getrandbits(62)
        return str(uuid.UUID(int=value))

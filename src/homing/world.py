"""The real clock and real chance: the one place that touches them."""

import asyncio
import random
import secrets
import time
from datetime import UTC, datetime

import uuid_utils


class SystemClock:
    """Time as this machine tells it. `monotonic` counts through suspends where the platform can."""

    _clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic(self) -> float:
        return time.clock_gettime(self._clock)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class SystemEntropy:
    """Chance from the operating system."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def random(self) -> float:
        return self._random.random()

    def token(self, length_bytes: int) -> bytes:
        return secrets.token_bytes(length_bytes)

    def uuid(self) -> str:
        return str(uuid_utils.uuid7())

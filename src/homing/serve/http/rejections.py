"""One log line for each cause and minute, with a count, for what may happen a thousand times a second."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import structlog

from homing.ports import Clock

log = structlog.get_logger("homing")

EVERY_S = 60.0
CAUSES_MAX = 1_000
"""Causes told apart at once; beyond, what comes first in the next minute is told again."""


@dataclass(slots=True)
class _Tally:
    event: str
    since_s: float
    count: int = 0
    told: dict[str, Any] = field(default_factory=dict)


class Rejections:
    """The first of a cause is logged at once; those of the minute after it together, as one line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[Hashable, _Tally] = {}

    def note(self, cause: Hashable, event: str, **told: Any) -> None:
        """It happened once more. `told` goes into the line; of several in a minute, that of the newest."""
        now_s = self._clock.monotonic()
        tally = self._tallies.get(cause)
        if tally is None:
            if len(self._tallies) >= CAUSES_MAX:
                self._tallies.clear()
            self._tallies[cause] = _Tally(event, now_s)
            log.warning(event, count=1, **told)
            return
        tally.count, tally.told = tally.count + 1, told
        if now_s - tally.since_s >= EVERY_S:
            self._tell(tally, now_s)

    async def run(self) -> None:
        """Say of each minute what is not said yet, until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S / 4)
            self.look()

    def look(self) -> None:
        """Say what is due, and forget causes that a whole minute brought nothing of."""
        now_s = self._clock.monotonic()
        for cause, tally in list(self._tallies.items()):
            if now_s - tally.since_s < EVERY_S:
                continue
            if tally.count:
                self._tell(tally, now_s)
            else:
                del self._tallies[cause]

    def _tell(self, tally: _Tally, now_s: float) -> None:
        log.warning(tally.event, count=tally.count, within_s=round(now_s - tally.since_s), **tally.told)
        tally.count, tally.since_s = 0, now_s

"""Logins, one after the other where there are many: no more within any second than WhatsApp is to see of us."""

from collections import deque

from homing.ports import Clock

WINDOW_S = 1.05
"""A little more than the second that is counted elsewhere: what left us evenly may arrive closer together."""


class Logins:
    """At most ``per_s`` turns within any one second, given in the order of asking."""

    def __init__(self, per_s: int, clock: Clock) -> None:
        self._per_s = per_s
        self._clock = clock
        self._given: deque[float] = deque(maxlen=per_s)

    async def turn(self) -> None:
        """Returns when it is the caller's turn to log in."""
        now_s = self._clock.monotonic()
        at_s = now_s if len(self._given) < self._per_s else max(now_s, self._given[0] + WINDOW_S)
        self._given.append(at_s)
        if at_s > now_s:
            await self._clock.sleep(at_s - now_s)

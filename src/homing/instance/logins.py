"""Logins, one after the other where there are many: no more within any second than WhatsApp is to see of us."""

from collections import deque

from homing.ports import Clock

SLACK = 1.05
"""What left us evenly may arrive closer together: what counts as a second here is a little more than one."""


class LoginTurns:
    """At most ``per_s`` turns within any one second (or one turn within as many seconds as it takes), in the order of
    asking.
    """

    def __init__(self, per_s: float, clock: Clock) -> None:
        self._clock = clock
        self._at_once = max(1, int(per_s))
        self._window_s = self._at_once / per_s * SLACK
        self._given: deque[float] = deque(maxlen=self._at_once)

    async def turn(self) -> None:
        """Returns when it is the caller's turn to log in."""
        now_s = self._clock.monotonic()
        at_s = now_s if len(self._given) < self._at_once else max(now_s, self._given[0] + self._window_s)
        self._given.append(at_s)
        if at_s > now_s:
            await self._clock.sleep(at_s - now_s)

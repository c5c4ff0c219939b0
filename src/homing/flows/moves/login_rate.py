"""How many sessions may still log in on each instance at this moment, as far as this gateway knows.

The store counts over all gateways, and has the last word; this is for choosing a place where no turn must be waited
for.
"""

from collections import defaultdict, deque

from homing.model.fleet import InstanceUrl
from homing.ports import Clock

WINDOW_S = 1.0


class Turns:
    """`per_s` is how many sessions an instance may log in per second."""

    def __init__(self, clock: Clock, per_s: float) -> None:
        self._clock, self._per_window = clock, max(1, int(per_s * WINDOW_S))
        self._taken_s: dict[InstanceUrl, deque[float]] = defaultdict(deque)
        self._none_until_s: dict[InstanceUrl, float] = {}

    def left(self, url: InstanceUrl) -> int:
        now_s = self._clock.monotonic()
        if now_s < self._none_until_s.get(url, now_s):
            return 0
        taken = self._taken_s[url]
        while taken and now_s - taken[0] >= WINDOW_S:
            taken.popleft()
        return max(0, self._per_window - len(taken))

    def used(self, url: InstanceUrl, *, granted: bool) -> None:
        """A grant to the instance was asked for. One that was not given says that others took its turns."""
        now_s = self._clock.monotonic()
        if granted:
            self._taken_s[url].append(now_s)
        else:
            self._none_until_s[url] = now_s + WINDOW_S

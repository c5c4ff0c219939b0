"""How often something happens, as a rate that forgets."""

import math

from homing.ports import Clock

HALF_LIFE_S = 10.0


class DecayingRate:
    """Happenings per second, of which those a half-life ago count half."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._weight = 0.0
        self._at_s = self._began_s = clock.monotonic()

    def happened(self) -> None:
        self._weight = self._faded() + 1.0
        self._at_s = self._clock.monotonic()

    def per_s(self) -> float:
        """The rate at this moment. Right from the start: what cannot have happened yet is not missed."""
        lived_s = self._clock.monotonic() - self._began_s
        mean_life_s = HALF_LIFE_S / math.log(2)
        seen_s = mean_life_s * (1.0 - math.exp2(-lived_s / HALF_LIFE_S))
        return self._faded() / max(seen_s, 1.0)

    def _faded(self) -> float:
        return self._weight * math.exp2((self._at_s - self._clock.monotonic()) / HALF_LIFE_S)

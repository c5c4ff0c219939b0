"""Who tried what its key does not allow: once a minute for each key, however often it tries."""

from homing.model.directory.access import Scope
from homing.ports import Clock

AGAIN_AFTER_S = 60.0
KEPT_MAX = 1_000

_Cause = tuple[str, Scope]


class RefusedCallers:
    """The keys that were refused of late, and what they lacked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._noted_s: dict[_Cause, float] = {}

    def is_new(self, key_id: str, lacked: Scope) -> bool:
        """Whether this is to be written down: nothing of the kind was within the last minute."""
        now_s = self._clock.monotonic()
        before_s = self._noted_s.get((key_id, lacked))
        if before_s is not None and now_s - before_s < AGAIN_AFTER_S:
            return False
        if len(self._noted_s) >= KEPT_MAX:
            self._noted_s.clear()
        self._noted_s[(key_id, lacked)] = now_s
        return True

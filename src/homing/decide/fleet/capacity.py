"""How much of what an instance can take is used, and what one more session would not fit into?"""

from collections.abc import Sequence
from dataclasses import dataclass

from homing.model.fleet import Instance

UNDECLARED_CAPACITY = 1_000
"""What an instance that declares no capacity is compared as, where no other declares one."""
TELLING_SESSIONS = 8
"""From so many on, the memory of an instance tells what one session takes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What an instance carries: its sessions, its memory if it tells, and its sends, measured and forecast."""

    instance: Instance
    sessions: int
    memory_mb: float | None = None
    sends_per_s: float = 0.0
    forecast_sends_per_s: float = 0.0


class Room:
    """One instance, with what was placed on it so far."""

    __slots__ = ("capacity", "instance", "memory_mb", "rate", "session_mb", "sessions")

    def __init__(self, load: Load, nominal: int, session_mb: float) -> None:
        self.instance = load.instance
        self.sessions = load.sessions
        self.memory_mb = load.memory_mb or 0.0
        self.rate = max(load.sends_per_s, load.forecast_sends_per_s)
        self.session_mb = session_mb
        self.capacity = nominal if load.instance.capacity is None else load.instance.capacity

    @property
    def used(self) -> float:
        """The part that is used of what it can take, in whichever respect that is largest."""
        return max(part for part, _ in self._parts())

    def said(self) -> str:
        """How it is used, in numbers."""
        return max(self._parts(), key=lambda pair: pair[0])[1]

    def take(self, sends_per_s: float) -> None:
        self.sessions += 1
        self.memory_mb += self.session_mb
        self.rate += sends_per_s

    def give(self, sends_per_s: float) -> None:
        self.sessions -= 1
        self.memory_mb -= self.session_mb
        self.rate -= sends_per_s

    def full(self, sends_per_s: float) -> str | None:
        """What one more session would not fit into."""
        at = self.instance
        if at.capacity is not None and self.sessions >= at.capacity:
            return f"is full ({self.sessions} of {at.capacity})"
        if _over(self.memory_mb, self.session_mb, at.memory_limit_mb):
            return f"is full ({self.memory_mb:.0f} of {at.memory_limit_mb or 0:.0f} MB)"
        if _over(self.rate, sends_per_s, at.sends_limit_per_s):
            return f"is full ({self.rate:.1f} of {at.sends_limit_per_s or 0:g} sends/s)"
        return None

    def _parts(self) -> list[tuple[float, str]]:
        at = self.instance
        plural = "" if self.sessions == 1 else "s"
        counted = f"{self.sessions} session{plural}" if at.capacity is None else f"{self.sessions} of {at.capacity}"
        parts = [(self.sessions / self.capacity if self.capacity else 1.0, counted)]
        if at.memory_limit_mb:
            parts.append((self.memory_mb / at.memory_limit_mb, f"{self.memory_mb:.0f} of {at.memory_limit_mb:.0f} MB"))
        if at.sends_limit_per_s:
            parts.append((self.rate / at.sends_limit_per_s, f"{self.rate:.1f} of {at.sends_limit_per_s:g} sends/s"))
        return parts


def rooms(loads: Sequence[Load]) -> list[Room]:
    """One for each instance. What is not declared is taken to be as the largest that is."""
    nominal = max((at for load in loads if (at := load.instance.capacity)), default=UNDECLARED_CAPACITY)
    session_mb = _memory_of_a_session(loads)
    return [Room(load, nominal, session_mb) for load in loads]


def _over(used: float, more: float, limit: float | None) -> bool:
    return limit is not None and (used >= limit or used + more > limit)


def _memory_of_a_session(loads: Sequence[Load]) -> float:
    """By the instance that needs the least for each; the memory of an almost empty one is its own."""
    return min(
        (load.memory_mb / load.sessions for load in loads if load.memory_mb and load.sessions >= TELLING_SESSIONS),
        default=0.0,
    )

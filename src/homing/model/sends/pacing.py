"""How fast an account may write, and how much of that it has used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A fresh account begins with so many messages on its first day, times `factor` on each day after, for `days`."""

    first_day: int
    factor: float
    days: int


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From and until when nobody is written to, in minutes since midnight where the recipient is."""

    from_min: int
    until_min: int


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """Limits of one account; None is no limit. `gap_s`: the shortest and longest pause between two messages.

    `ramp_s`: for so long after its session moved the gaps are longer, tenfold at first.
    """

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    new_chats_per_day: int | None = None
    gap_s: tuple[float, float] | None = None
    ramp_s: float = 0.0
    warm_up: WarmUp | None = None
    quiet: QuietHours | None = None
    typing_ms_per_char: int | None = None
    """For so long somebody is shown typing before a message, where the gateway can show that."""


@dataclass(frozen=True, slots=True)
class PaceAsked:
    """A message that would go now: to whom, how long it is, and what draws the gap behind it, from [0, 1)."""

    chat: str
    characters: int
    chance: float


@dataclass(frozen=True, slots=True)
class PaceGo:
    """A message may go now, after so many seconds of typing."""

    typing_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PaceWait:
    """A message may not go now: in how many seconds one like it may, and why."""

    wait_s: float
    reason: str


PRESETS: Mapping[str, PacePolicy] = {
    "careful": PacePolicy(8, 200, 1_500, 100, (1.5, 5.0), 60.0, WarmUp(20, 1.8, 7)),
    "steady": PacePolicy(20, 600, 5_000, 500, (0.5, 2.0), 30.0),
}
"""What owners of such accounts report to be tolerated. Nobody at WhatsApp has said so."""


@dataclass(frozen=True, slots=True)
class PaceState:
    """What an account has left, in messages, and when that was, in seconds of the store's clock."""

    left: Mapping[str, float]
    at_s: float
    next_s: float = 0.0
    epoch: int = 0
    moved_s: float = 0.0
    restricted_until_s: float = 0.0

    def written(self) -> dict[str, Any]:
        return {
            "left": dict(self.left),
            "at": self.at_s,
            "next": self.next_s,
            "epoch": self.epoch,
            "moved": self.moved_s,
            "restricted": self.restricted_until_s,
        }

    @classmethod
    def read(cls, written: Mapping[str, Any], now_s: float) -> "PaceState":
        return cls(
            written.get("left", {}),
            written.get("at", now_s),
            written.get("next", 0.0),
            written.get("epoch", 0),
            written.get("moved", 0.0),
            written.get("restricted", 0.0),
        )

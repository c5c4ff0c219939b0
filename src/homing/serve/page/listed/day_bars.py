"""The bar of a session's last 24 hours, as it is drawn."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from homing.decide.knowledge.heartbeat import BEATS, EACH, HalfHour, begins
from homing.serve.page import words

STEP, WIDE, HIGH = 3, 2, 16
_HEIGHTS = {HalfHour.ABSENT: 1, HalfHour.WELL: 6, HalfHour.MOVED: 11, HalfHour.DOUBT: 11, HalfHour.DOWN: HIGH}
_TONES = {
    HalfHour.ABSENT: "absent",
    HalfHour.WELL: "well",
    HalfHour.MOVED: "busy",
    HalfHour.DOUBT: "warn",
    HalfHour.DOWN: "bad",
}
_SAYS = {HalfHour.DOWN: "could not send in", HalfHour.DOUBT: "in doubt in", HalfHour.MOVED: "moved in"}


@dataclass(frozen=True, slots=True)
class DayBar:
    """One path for each kind of half hour; and what it says to who does not see it."""

    paths: tuple[tuple[str, str], ...]
    says: str

    @classmethod
    def of(cls, beats: str) -> "DayBar":
        paths = []
        for beat, tone in _TONES.items():
            high = _HEIGHTS[beat]
            found = [at for at, letter in enumerate(beats) if letter == beat]
            if found:
                drawn = "".join(f"M{at * STEP} {HIGH - high}h{WIDE}v{high}h-{WIDE}z" for at in found)
                paths.append((tone, drawn))
        return cls(tuple(paths), _says(beats))


def _says(beats: str) -> str:
    if not beats:
        return "Of the last 24 hours nothing is known"
    told = [f"{says} {words.many(beats.count(beat), 'half hour')}" for beat, says in _SAYS.items() if beat in beats]
    return f"Last 24 hours: {', '.join(told) or 'well'}"


def ticks(now: datetime) -> list[tuple[float, str]]:
    """The hours under a bar: how far along it, from 0 to 1, and what is written there."""
    first = begins(now).astimezone(UTC)
    found = []
    for at in range(BEATS):
        moment = first + at * EACH
        if moment.minute == 0 and moment.hour % 6 == 0 and 2 <= at <= BEATS - 5:
            found.append((at / BEATS, f"{moment:%H:%M}"))
    return [*found, (1.0, "now")] if now - first > timedelta() else found

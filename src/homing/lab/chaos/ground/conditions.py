"""How the way to an address is at the moment."""

from dataclasses import dataclass
from enum import StrEnum


class Passing(StrEnum):
    """What becomes of connections."""

    FREE = "free"
    REFUSED = "refused"
    """Nobody listens there, and what was connected is reset."""
    UNREACHABLE = "unreachable"
    """Nothing arrives, not even the wish to connect. What was on its way arrives once the way is free again."""
    SWALLOWED = "swallowed"
    """Connections are made, and nothing passes over them, in either direction, until the way is free again."""
    MUTE = "mute"
    """What clients say arrives; what they are answered does not, until the way is free again."""


class Direction(StrEnum):
    """Which way bytes go."""

    QUESTIONS = "questions"
    """From clients to the server."""
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class WayConditions:
    """Times in seconds. Each piece of data is late by `latency_s`, and by up to `jitter_s` beyond; none overtakes.

    `bytes_per_s` holds for each connection and direction. A connection is reset once `reset_after` bytes of its
    `reset_of` have passed since these conditions began.
    """

    passing: Passing = Passing.FREE
    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    reset_after: int | None = None
    reset_of: Direction = Direction.ANSWERS

    def lets(self, direction: Direction) -> bool:
        """Whether bytes go that way at all."""
        match self.passing:
            case Passing.FREE:
                return True
            case Passing.MUTE:
                return direction is Direction.QUESTIONS
            case _:
                return False


CLEAR = WayConditions()

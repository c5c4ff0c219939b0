"""How far a session's way to another instance has come."""

from enum import StrEnum


class Milestone(StrEnum):
    """How far an attempt has come. Whoever dies at one leaves to others what is behind it."""

    READ = "read"
    LEFT = "left"
    """New messages wait; the holder was not told to stop yet."""
    STOPPED = "stopped"
    CHOSEN = "chosen"
    GRANTED = "granted"
    STARTED = "started"
    """The targets have opened the sessions, and no record says so yet."""
    ARRIVED = "arrived"

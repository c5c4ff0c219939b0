"""What a call to an instance is for: each kind has connections of its own, so that none waits for another.

Drivers of every family make their calls over the same wire and know nothing of this: it is said around them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum

NOBODY = ""
"""In place of a session, for calls that are of none: they have no share, and are bounded by the whole alone."""


class Lane(StrEnum):
    """One kind of calls."""

    SENDS = "sends"
    HEALTH = "health"
    LISTS = "lists"
    SESSIONS = "sessions"
    """What is asked and told of single sessions, apart from their messages."""

    __hash__ = str.__hash__  # an enum's own is Python, and each call looks for its connections by its lane


_current: ContextVar[tuple[Lane, str]] = ContextVar("lane", default=(Lane.SENDS, NOBODY))


current = _current.get
"""The lane of the calls that are made here, and the session towards whose share they count."""

enter = _current.set
"""Let all calls made from here on, and in tasks begun there, go in this lane, until that is ended with `leave`."""

leave = _current.reset


@contextmanager
def in_lane(lane: Lane, session: str = NOBODY) -> Iterator[None]:
    """Let all calls made in the block, and in tasks begun there, go in this lane."""
    before = enter((lane, session))
    try:
        yield
    finally:
        leave(before)

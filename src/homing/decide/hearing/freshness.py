"""Is what a gateway reports of now, or a replay of what happened before?

Gateways keep a journal and tell later what could not be told; an old message is no sign that its session hears. Their
clocks differ from ours, so that age alone says nothing: what counts is how much older than usual a report is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

REPLAYED_AFTER_S = 600.0
"""A report that is so much later than its instance's reports usually are is a replay."""
REMEMBERED = 64
_SKEW_MIN = 8
"""So many reports that are all late by as much are an instance whose clock is behind."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the newest reports of one instance were, in seconds, newest last, and its clock's difference so far."""

    recent: tuple[float, ...] = ()
    skew_s: float | None = None


def take(known: Lateness, late_s: float) -> tuple[Lateness, bool]:
    """What is known after one more report that came `late_s` after it happened by its own clock, and whether it is of
    now.

    The smallest lateness is the clock's difference. It is believed to have grown only when as many reports as are
    remembered say so, which a journal that is told does not do: it gets to what is new.
    """
    recent = (*known.recent, late_s)[-REMEMBERED:]
    skew = _skew(known.skew_s, recent)
    return Lateness(recent, skew), late_s - (skew or 0.0) < REPLAYED_AFTER_S


def _skew(before: float | None, recent: Sequence[float]) -> float | None:
    smallest = min(recent)
    if before is None:
        # A first report may be a replay; a clock is off by as much only if that goes on.
        is_known = smallest < REPLAYED_AFTER_S or (len(recent) >= _SKEW_MIN and _steady(recent))
        return smallest if is_known else None
    if smallest < before:
        return smallest
    return smallest if len(recent) >= REMEMBERED and _steady(recent) else before


def _steady(recent: Sequence[float]) -> bool:
    """Late by about the same all the time: a clock. A journal gets less late the further it is told."""
    return max(recent) - min(recent) < REPLAYED_AFTER_S / 2

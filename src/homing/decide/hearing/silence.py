"""How unlikely is it that nothing came for so long, of a session that hears?

Arrivals are taken as bursts, at a low rate by the session's own past, lowered further to how the day went until then.
What that rate is just now is not known better than to a third or so: were it known, nothing would come for as long as
n bursts usually take with a probability of exp(-n); with a rate that is gamma-distributed (which makes the counts
negative binomial) it is (1 + n/k)^-k. Its negative logarithm is what a silence weighs.
"""

from dataclasses import dataclass
from datetime import datetime
from math import inf, log, log1p

from homing.decide.hearing.baseline import BUSY, HOURS, hours_since
from homing.model.sessions.hearing import Baseline, HeardOf

FOOTING_HOURS = 6
FOOTING = 8.0
"""So many bursts must usually come in the hours before a silence, and about as many must have come, for it to have
begun in the midst of traffic."""
RISES = 1.0
"""What came before a silence vouches for as much to come, not for more: it may be the morning of a holiday."""
SILENCE_MAX_H = 72
WEEKS_FOUNDED = 2.0
"""One week may have been unlike all others."""
_LULL_FREE = 3.0
_SHAPE = 10.0
"""Of the gamma distribution: a rate that is known to 1/√10, about a third."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Since when nothing came, and how many bursts should have.

    `weight` is how much that speaks against the session; `abrupt` is the part of it that is due to the first stretch of
    busy hours, if it began in the midst of one: a silence that began at the end of business may go on with a day off.
    """

    since_at: datetime
    expected: float = 0.0
    weight: float = 0.0
    abrupt: float = 0.0
    usual_per_h: float = 0.0


def silence(known: HeardOf, now: datetime) -> Silence:
    """What the silence of a session until now amounts to. 0.0 expected where nothing usually comes."""
    since = max(known.since_at, known.last_at) if known.last_at is not None else known.since_at
    base = known.baseline
    if base is None or since >= now:
        return Silence(since)
    begun = known.last_at is not None and known.last_at >= known.since_at
    footing = _footing(known, base, since) if begun and known.hours else None
    level = min(1.0, footing.level) if footing is not None else 1.0
    vouched = footing.per_h * RISES if footing is not None else 0.0
    came, busy_h, at_once = _usual(base, since, now, vouched)
    expected = level * came / base.clumping
    weight = min(weight_of(expected), _most(base.lulls, busy_h))
    is_founded = footing is not None and footing.level >= 0.5 and base.weeks >= WEEKS_FOUNDED
    abrupt = min(weight, weight_of(level * at_once / base.clumping)) if is_founded else 0.0
    return Silence(since, expected, weight, abrupt, came / busy_h if busy_h else 0.0)


def weight_of(expected: float) -> float:
    """How much it speaks against a session that so many bursts did not come."""
    return _SHAPE * log1p(expected / _SHAPE)


def _usual(base: Baseline, since: datetime, until: datetime, vouched: float) -> tuple[float, float, float]:
    """How many messages usually come at the least in the busy hours of this span, how many hours those are, and how
    many messages come in those before the first hour that is not busy, at most `vouched` an hour."""
    begin, end = hours_since(since), hours_since(until)
    at = max(begin, end - SILENCE_MAX_H)
    came = busy_h = at_once = 0.0
    unbroken = at == begin
    hour = int(at)
    while at < end:
        next_at = min(end, hour + 1.0)
        rate = base.low[hour % HOURS]
        if rate >= BUSY:
            came, busy_h = came + rate * (next_at - at), busy_h + next_at - at
            at_once += min(rate, vouched) * (next_at - at) if unbroken else 0.0
        else:
            unbroken = False
        hour, at = hour + 1, next_at
    return came, busy_h, at_once


@dataclass(frozen=True, slots=True)
class _Footing:
    """What came just before a silence, beside what usually does then, and how many messages an hour that was."""

    level: float
    per_h: float


def _footing(known: HeardOf, base: Baseline, since: datetime) -> _Footing | None:
    """What came just before the silence; None where that is too little to tell.

    On a holiday it is little, and so is what is expected of the rest of the day.
    """
    rows = {row.hour: row.came for row in known.hours}
    at = hours_since(since)
    hour, part = int(at), at % 1
    usual, came, span_h = base.low[hour % HOURS] * part, rows.get(hour, 0), part
    for back in range(1, FOOTING_HOURS + 1):
        if usual >= FOOTING * base.clumping:
            break
        usual, came = usual + base.low[(hour - back) % HOURS], came + rows.get(hour - back, 0)
        span_h += 1
    return _Footing(came / usual, came / span_h) if usual >= FOOTING * base.clumping else None


def _most(lulls: float, busy_h: float) -> float:
    """The most that so many silent hours can tell of a session that is known to fall silent now and then."""
    return _LULL_FREE + busy_h * log(1 / lulls) if lulls > 0 else inf

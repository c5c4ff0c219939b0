"""How much usually comes of a session, hour by hour of its week, by its own past alone.

Everything here errs towards *less comes than does*: a rate that is too low makes a verdict late, one that is too high
makes it wrong. So a week of spam, a campaign, or one that is not like the others does not raise what is expected: the
lower quartile over past weeks and the hours beside does not see a quarter of all samples. Hours are those of the week
in UTC. Time zones need no care, for the past is in the same one, and the hours beside take up a change to summer time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import log

from homing.model.sessions.hearing import Baseline, HeardHour

HOURS = 168
WEEKS_KEPT = 5
WEEKS_MIN = 1.0
"""Before so many whole weeks nothing is expected: what comes on a weekend cannot be known from working days."""
YOUNG = 0.5
"""While only one week is known, half of what came in it is expected."""
BUSY = 6.0
"""Messages an hour, at the least. Silence counts only where so many usually come."""
LIKE_DAYS, LIKE_DAYS_MIN = 0.8, 4
OPENING, OPENING_WEEKS = 0.5, 3
OPENS_BY = 0.25
"""Before the first hour of business comes at most this part of what comes in it."""
CLUMPING_UNKNOWN = 4.0
_CLUMPING_HOURS_MIN = 12
_CAME_MIN = 8
_EULER = 0.5772


def hours_since(at: datetime) -> float:
    """Hours since 1970, UTC."""
    return at.timestamp() / 3600


def hour_of(at: datetime) -> int:
    """The hour since 1970 that this moment is in."""
    return int(hours_since(at))


def learn(hours: Sequence[HeardHour], now: datetime) -> Baseline:
    """The baseline by all whole hours before the one that `now` is in. The first hour kept is when it began to be
    heard of; hours between two that are there were silent. A silence that has not ended yet is not learnt from."""
    this = hour_of(now)
    known = {each.hour: each for each in hours if this - WEEKS_KEPT * HOURS <= each.hour < this}
    if not known:
        return Baseline((0.0,) * HOURS, CLUMPING_UNKNOWN)
    first, end = min(known), max(known) + 1
    weeks = (this - first) / HOURS
    if weeks < WEEKS_MIN:
        return Baseline((0.0,) * HOURS, CLUMPING_UNKNOWN, weeks=weeks)
    part = YOUNG if weeks < 2 * WEEKS_MIN else 1.0
    samples = [sorted(_samples(known, this + (hour - this) % HOURS, first, end)) for hour in range(HOURS)]
    alone = [_alone(known, this + (hour - this) % HOURS, first, end) for hour in range(HOURS)]
    low = tuple(part * each for each in _with_openings(_with_like_days(samples), alone))
    return Baseline(low, _clumping(known.values()), _lulls(known, low, first, end), weeks)


def _samples(known: dict[int, HeardHour], hour: int, first: int, end: int) -> list[int]:
    """What came in this hour of earlier weeks, and in the hours beside it. A week of which one of the three is not
    known is left out: else the hour before closing would count for the one after."""
    found: list[int] = []
    for week in range(1, WEEKS_KEPT + 1):
        begin = hour - 1 - week * HOURS
        if begin < first or begin + 3 > end:
            continue
        rows = [known.get(begin + beside) for beside in range(3)]
        if not any(row is not None and row.void for row in rows):
            found += [row.came if row is not None else 0 for row in rows]
    return found


def _alone(known: dict[int, HeardHour], hour: int, first: int, end: int) -> list[int]:
    """What came in this hour itself of earlier weeks, sorted."""
    hours = [hour - week * HOURS for week in range(1, WEEKS_KEPT + 1) if first <= hour - week * HOURS < end]
    rows = [known.get(each) for each in hours]
    return sorted(row.came if row is not None else 0 for row in rows if row is None or not row.void)


def _with_openings(low: Sequence[float], alone: Sequence[Sequence[int]]) -> list[float]:
    """The same, with a part of what comes in the first hour of business. The hour before it, in which nothing does,
    counts for it as well, so that a session that is deaf in the morning would be missed for an hour. A silence then
    began outside its traffic: it makes a session doubtful, and never deaf by itself."""
    found = list(low)
    for hour in range(HOURS):
        usual, before, after = _lower_quartile(alone[hour]), alone[hour - 1], low[(hour + 1) % HOURS]
        opens = not before or before[-1] < max(BUSY, OPENS_BY * usual)
        if len(alone[hour]) >= OPENING_WEEKS and after >= BUSY and opens:
            found[hour] = max(low[hour], OPENING * usual)
    return found


def _with_like_days(samples: Sequence[Sequence[int]]) -> list[float]:
    """The lower quartile of each hour; where one day of the week was low twice in few weeks, nearly as much as on the
    days that are usually like it."""
    low = [_lower_quartile(each) for each in samples]
    middle = [each[len(each) // 2] if each else 0 for each in samples]
    found = []
    for hour in range(HOURS):
        others = [(hour + 24 * day) % HOURS for day in range(7)]
        alike = sorted(low[each] for each in others if middle[hour] <= 2 * middle[each] <= 4 * middle[hour])
        found.append(max(low[hour], LIKE_DAYS * alike[len(alike) // 2]) if len(alike) >= LIKE_DAYS_MIN else low[hour])
    return found


def _lower_quartile(counts: Sequence[int]) -> float:
    """Of sorted counts, between the two nearest; 0.0 of fewer than three."""
    if len(counts) < 3:
        return 0.0
    place = (len(counts) - 1) / 4
    below = int(place)
    above = min(below + 1, len(counts) - 1)
    return counts[below] + (place - below) * (counts[above] - counts[below])


def _clumping(rows: Iterable[HeardHour]) -> float:
    """How many messages count as one, by the longest gaps of earlier hours.

    Of n independent arrivals the longest gap is about ln n + 0.58 times the mean one. Where arrivals come in bursts, it
    is as many times longer as there are messages in a burst.
    """
    ratios = sorted(
        row.longest_gap_s * row.came / 3600 / (log(row.came) + _EULER)
        for row in rows
        if row.came >= _CAME_MIN and not row.void
    )
    if len(ratios) < _CLUMPING_HOURS_MIN:
        return CLUMPING_UNKNOWN
    return max(1.0, ratios[int(len(ratios) * 0.9)])


def _lulls(known: dict[int, HeardHour], low: Sequence[float], first: int, end: int) -> float:
    """How often a busy hour was silent in the midst of traffic. A day off is none: its first hour follows a night."""
    busy = silent = 0
    for hour in range(first + 1, end):
        expected = low[hour % HOURS]
        before, row = known.get(hour - 1), known.get(hour)
        if expected < BUSY or before is None or before.came < BUSY or before.void or (row is not None and row.void):
            continue
        busy += 1
        silent += row is None or row.came == 0
    return silent / busy if busy else 0.0

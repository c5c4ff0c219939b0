"""How an account lives: what usually comes in each hour of its week, and what makes single days unlike others."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from random import Random

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday; virtual time is in seconds from here on."""
HOUR_S, DAY_S, WEEK_S = 3_600.0, 86_400.0, 604_800.0
WEEK_HOURS = 168
DAY_BEGINS = 4
WARM_UP_S = WEEK_S
"""Of accounts that have a past, this much of it is lived before anything breaks, and is not counted."""


class AccountLife(StrEnum):
    """What kind of account it is."""

    QUIET = "quiet"
    SHOP = "shop"
    BUSY = "busy"
    ROUND_THE_CLOCK = "round_the_clock"
    CAMPAIGNS = "campaigns"


@dataclass(frozen=True)
class Profile:
    """One account. `usual` is how many messages usually come in each hour of its week (from Monday 00:00 UTC).

    `sends_part` is how many messages go out for each that comes. `level` is the part of the usual that comes on a day,
    by its number; `campaigns` are begins and ends in seconds, and how much more comes meanwhile.
    """

    life: AccountLife
    region: int
    usual: tuple[float, ...]
    burst: float
    sends_part: float
    lost_acks: float
    born_s: float
    ends_s: float
    level: tuple[float, ...]
    campaigns: tuple[tuple[float, float, float], ...] = ()
    closes_early: frozenset[int] = frozenset()

    @property
    def has_past(self) -> bool:
        """Whether it was known before the time that is counted."""
        return self.born_s == 0.0

    @cached_property
    def never_closes(self) -> bool:
        """Whether some messages come at any hour."""
        return min(self.usual) > 0

    @property
    def is_busy(self) -> bool:
        """Whether a message a minute usually comes in its best hours."""
        return max(self.usual) >= 60

    def _level(self, hour: int) -> float:
        """How much comes beside the usual. Where people write at night, one day goes over into the next."""
        if self.never_closes:
            into = max(0.0, (hour + _ZONES[self.region] - DAY_BEGINS) / 24 - 0.5)
            day, part = int(into), into % 1
            return (1 - part) * self._of_day(day) + part * self._of_day(day + 1)
        return self._of_day(self.day(hour * HOUR_S))

    def _of_day(self, day: int) -> float:
        return self.level[min(day, len(self.level) - 1)]

    def day(self, at_s: float) -> int:
        """The number of its own day, which begins in the small hours where it is."""
        return max(0, int(at_s // HOUR_S) + _ZONES[self.region] - DAY_BEGINS) // 24

    def rate(self, hour: int) -> float:
        """What comes in an hour of its life, counted from the beginning of time, bursts of chance apart."""
        day = self.day(hour * HOUR_S)
        rate = self.usual[hour % WEEK_HOURS] * self._level(hour)
        if day in self.closes_early and (hour + _ZONES[self.region]) % 24 >= 13:
            rate *= 0.3
        for begin, end, more in self.campaigns:
            if begin <= hour * HOUR_S < end:
                rate *= more
        return rate


_ZONES = (-7, -3, 0, 1, 5, 7, 9)
_KINDS = (
    (AccountLife.QUIET, 0.30),
    (AccountLife.SHOP, 0.25),
    (AccountLife.BUSY, 0.25),
    (AccountLife.ROUND_THE_CLOCK, 0.10),
    (AccountLife.CAMPAIGNS, 0.10),
)


def holidays(chance: Random, days: int) -> tuple[dict[int, float], ...]:
    """Of each region, the days on which little comes, and how much."""
    return tuple(
        {day: chance.uniform(0.03, 0.4) for day in chance.sample(range(days), k=max(1, days // 15))} for _ in _ZONES
    )


def profile(chance: Random, weeks: int, closed: tuple[dict[int, float], ...]) -> Profile:
    """An account that chance makes. `closed` are the regions' holidays."""
    life = chance.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])[0]
    region = chance.randrange(len(_ZONES))
    days = weeks * 7
    usual = _week(chance, life, _ZONES[region])
    least = 0.3 if life is AccountLife.ROUND_THE_CLOCK else 0.1 if min(usual) > 0 else 0.0
    return Profile(
        life=life,
        region=region,
        usual=usual,
        burst=chance.uniform(1.2, 4.0),
        sends_part=chance.choice((0.0, 0.2, 0.5, 0.8)) if life is AccountLife.QUIET else chance.uniform(0.2, 0.8),
        lost_acks=chance.uniform(0.0, 0.03),
        born_s=WARM_UP_S + chance.uniform(0, 1.5) * WEEK_S if chance.random() < 0.1 else 0.0,
        ends_s=days * DAY_S,
        level=_levels(chance, days, closed[region], least),
        campaigns=_campaigns(chance, life, days),
        closes_early=frozenset(chance.sample(range(days), k=max(1, days // 30))),
    )


def _week(chance: Random, life: AccountLife, zone: int) -> tuple[float, ...]:
    """A day with a morning, a lunch, an evening and a night; weekends that are less, or more."""
    peak = {
        AccountLife.QUIET: chance.uniform(0.2, 4.0),
        AccountLife.SHOP: chance.uniform(8.0, 50.0),
        AccountLife.BUSY: chance.uniform(60.0, 220.0),
        AccountLife.ROUND_THE_CLOCK: chance.uniform(30.0, 120.0),
        AccountLife.CAMPAIGNS: chance.uniform(5.0, 40.0),
    }[life]
    night = chance.uniform(0.4, 0.9) if life is AccountLife.ROUND_THE_CLOCK else chance.choice((0.0, 0.0, 0.02, 0.08))
    opens, closes = chance.uniform(7, 10), chance.uniform(17, 22)
    weekend = chance.choice((0.0, 0.1, 0.4, 0.8, 1.0, 1.3))
    rates = []
    for hour in range(WEEK_HOURS):
        local = (hour + zone) % WEEK_HOURS
        day, of_day = divmod(local, 24)
        is_open = opens <= of_day < closes
        shape = (0.75 if 12 <= of_day < 14 else 1.0) * chance.uniform(0.8, 1.2) if is_open else night
        rates.append(peak * shape * (weekend if day >= 5 else 1.0))
    return tuple(rates)


def _levels(chance: Random, days: int, closed: dict[int, float], least: float) -> tuple[float, ...]:
    """Days and weeks are not alike; the account's own days off; a week of spam; a business that loses half.

    `least` comes on any day: to whom people write at night, they write on a holiday.
    """
    off = {chance.randrange(days): chance.choice((0.0, 0.0, 0.1, 0.3)) for _ in range(max(1, days // 14))}
    vacation = chance.randrange(days) if chance.random() < 0.1 else None
    spam = chance.randrange(max(1, days // 7)) if chance.random() < 0.15 else None
    falls = chance.randrange(days) if chance.random() < 0.2 else None
    levels = []
    for day in range(days):
        level = chance.lognormvariate(0, 0.25)
        away = 0.05 if vacation is not None and vacation <= day < vacation + 5 else 1.0
        level *= max(least, closed.get(day, 1.0) * off.get(day, 1.0) * away)
        if spam is not None and day // 7 == spam:
            level *= 5.0
        if falls is not None and day >= falls:
            level *= 0.5
        levels.append(level)
    return tuple(levels)


def _campaigns(chance: Random, life: AccountLife, days: int) -> tuple[tuple[float, float, float], ...]:
    if life is not AccountLife.CAMPAIGNS:
        return ()
    begins = [chance.uniform(0, days * DAY_S) for _ in range(max(1, days // 4))]
    return tuple((at, at + chance.uniform(1, 5) * HOUR_S, chance.uniform(5, 20)) for at in begins)

"""May this request be answered now, or has its caller had its share? A token bucket, and nothing else.

A bucket holds as many tokens as requests may come at once, and fills up evenly over the limit's time. Whoever takes
one from each bucket that it is charged to is answered; if one of them is empty, none is taken from the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from homing.model.directory.access import RateLimit


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many tokens there were, and when that was, in seconds of a clock that never goes back."""

    tokens: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Level:
    """A limit's bucket as it stands after a request: what is left, and how soon it is full again."""

    name: str
    limit: RateLimit
    bucket: Bucket

    @property
    def left(self) -> int:
        return int(self.bucket.tokens)

    @property
    def full_in_s(self) -> int:
        return ceil((self.limit.requests - self.bucket.tokens) * self.limit.per_s / self.limit.requests)

    @property
    def next_in_s(self) -> float:
        """How soon one more request may come."""
        return max(0.0, (1 - self.bucket.tokens) * self.limit.per_s / self.limit.requests)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request leaves of its caller's limits. `refused_by` is the one that is used up, if one is."""

    levels: Sequence[Level]
    refused_by: Level | None


def charge(limits: Sequence[tuple[str, RateLimit, Bucket | None]], now_s: float) -> Charge:
    """The charge for a request under these limits, each by its name and with its bucket; None is a full one."""
    standing = [Level(name, limit, _filled(limit, bucket, now_s)) for name, limit, bucket in limits]
    used_up = [level for level in standing if level.bucket.tokens < 1]
    if used_up:
        return Charge(standing, max(used_up, key=lambda level: level.next_in_s))
    taken = [Level(each.name, each.limit, Bucket(each.bucket.tokens - 1, now_s)) for each in standing]
    return Charge(taken, None)


def _filled(limit: RateLimit, bucket: Bucket | None, now_s: float) -> Bucket:
    if bucket is None:
        return Bucket(limit.requests, now_s)
    gained = max(0.0, now_s - bucket.at_s) * limit.requests / limit.per_s
    return Bucket(min(limit.requests, bucket.tokens + gained), now_s)

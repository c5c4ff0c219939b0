"""How often may this key, and may its workspace, ask? Each gateway counts for itself, in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from homing.decide.access import rates
from homing.decide.access.rates import Bucket, Level
from homing.model.directory.access import Key, RateLimit
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.ports import Clock

BUCKETS_MAX = 10_000
"""Callers remembered at once; beyond, those that were longest not heard of begin anew with a full bucket."""


@dataclass(frozen=True, slots=True)
class Charged:
    """What a request's answer says of its caller's limits, and the problem if it is over one of them."""

    headers: Mapping[str, str]
    problem: Problem | None = None


UNLIMITED = Charged({})


class RateLimits:
    """Charges requests to the limits of their key and of its workspace. Without any limit it costs next to nothing."""

    def __init__(self, of_workspace: Callable[[WorkspaceId], RateLimit | None], clock: Clock) -> None:
        self._of_workspace, self._clock = of_workspace, clock
        self._buckets: dict[str, tuple[RateLimit, Bucket]] = {}

    def charge(self, key: Key) -> Charged:
        """One request by this key. Operators' keys fall under no workspace's limit."""
        limits = self._limits(key)
        if not limits:
            return UNLIMITED
        asked = [(name, limit, self._bucket(whose, limit)) for name, whose, limit in limits]
        charge = rates.charge(asked, self._clock.monotonic())
        for (_, whose, limit), level in zip(limits, charge.levels, strict=True):
            self._buckets[whose] = (limit, level.bucket)
        while len(self._buckets) > BUCKETS_MAX:
            del self._buckets[next(iter(self._buckets))]
        headers = _headers(charge.levels)
        return Charged(headers, None if charge.refused_by is None else _refusal(charge.refused_by))

    def _limits(self, key: Key) -> list[tuple[str, str, RateLimit]]:
        """By name, whose bucket, and the limit itself."""
        limits: list[tuple[str, str, RateLimit]] = []
        if key.rate_limit is not None:
            limits.append(("key", f"key {key.id}", key.rate_limit))
        workspace = key.workspace_id
        if workspace is not None and (limit := self._of_workspace(workspace)) is not None:
            limits.append(("workspace", f"workspace {workspace}", limit))
        return limits

    def _bucket(self, whose: str, limit: RateLimit) -> Bucket | None:
        """As it was left; a full one under a limit that was changed."""
        known = self._buckets.pop(whose, None)
        return known[1] if known is not None and known[0] == limit else None


def _headers(levels: Sequence[Level]) -> dict[str, str]:
    """By the IETF's draft: `q` requests in `w` seconds, of which `r` are left; full again in `t` seconds."""
    return {
        "RateLimit-Policy": ", ".join(f'"{each.name}";q={each.limit.requests};w={each.limit.per_s}' for each in levels),
        "RateLimit": ", ".join(f'"{each.name}";r={each.left};t={each.full_in_s}' for each in levels),
    }


def _refusal(level: Level) -> Problem:
    whose = "This key" if level.name == "key" else "The workspace of this key"
    detail = f"{whose} may ask {level.limit.requests} times in {level.limit.per_s} s, and has; ask more slowly"
    return Problem(Code.RATE_LIMITED, detail, retry_after_s=ceil(level.next_in_s))

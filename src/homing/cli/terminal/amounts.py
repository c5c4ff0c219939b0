"""Amounts as people write them: lengths of time, moments, and how often something may happen."""

import re
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from homing.cli.terminal.stops import CannotStart

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
NONE = "none"


class RateAmount(TypedDict):
    """So many requests in so many seconds."""

    requests: int
    per_s: int


def seconds(given: str) -> int:
    """How long `24h`, `30m`, `90s` or `7d` is."""
    found = re.fullmatch(r"(\d{1,9})(s|m|min|h|d)", given.strip())
    if found is None:
        raise CannotStart(f"{given!r} is no length of time; write it as 90s, 30m, 24h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def moment(given: str) -> datetime | None:
    """A moment: `90d` from now, or a date or time of ISO 8601; None for `none`."""
    if given == NONE:
        return None
    if re.fullmatch(r"\d+(s|m|min|h|d)", given.strip()):
        return datetime.now(UTC) + timedelta(seconds=seconds(given))
    try:
        at = datetime.fromisoformat(given)
    except ValueError as error:
        raise CannotStart(f"{given!r} is no moment; write it as 90d, 2027-01-31 or 2027-01-31T12:00:00Z") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def rate(given: str) -> RateAmount | None:
    """How often: `600/min`, `10/s`, `5000/h`, `100/15m`; None for `none`."""
    if given == NONE:
        return None
    requests, _, per = given.partition("/")
    per = per if per[:1].isdigit() else f"1{per}"
    if not requests.isdecimal() or not 1 <= int(requests) <= 1_000_000:
        raise CannotStart(f"{given!r} is no rate; write it as 600/min, 10/s or 5000/h")
    return RateAmount(requests=int(requests), per_s=seconds(per))

"""Is it night where somebody is? By the zones of his number; the clocks there change when they change."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

from homing.model.sends.pacing import QuietHours

_ZONES_MAX = 6
"""A number that may be in more zones than this (a whole continent's) tells nothing of where somebody is."""


def quiet_until(chat: str, hours: QuietHours, now: datetime) -> datetime | None:
    """When the chat may be written to, if that is not now: once it is quiet in no zone that the number may be in."""
    ends = [end for zone in zones_of(chat) if (end := _end(zone, hours, now)) is not None]
    return max(ends, default=None)


@lru_cache(50_000)
def zones_of(chat: str) -> tuple[str, ...]:
    """The time zones that a number may be in; none if that cannot be told, as for a group."""
    if not chat.isdecimal():
        return ()
    try:
        names = timezone.time_zones_for_number(phonenumbers.parse(f"+{chat}"))
    except phonenumbers.NumberParseException:
        return ()
    known = tuple(name for name in names if name != timezone.UNKNOWN_TIMEZONE and _zone(name) is not None)
    return known if len(known) <= _ZONES_MAX else ()


@lru_cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _end(name: str, hours: QuietHours, now: datetime) -> datetime | None:
    """When the quiet hours end in which it is in this zone; None if it is in none."""
    zone = _zone(name)
    if zone is None:
        return None
    there = now.astimezone(zone)
    minute = there.hour * 60 + there.minute
    over_night = hours.from_min > hours.until_min
    inside = (
        minute >= hours.from_min or minute < hours.until_min
        if over_night
        else (hours.from_min <= minute < hours.until_min)
    )
    if not inside:
        return None
    day = there.date() + timedelta(days=1 if over_night and minute >= hours.from_min else 0)
    end = datetime(day.year, day.month, day.day, hours.until_min // 60, hours.until_min % 60, tzinfo=zone)
    return end.astimezone(UTC)

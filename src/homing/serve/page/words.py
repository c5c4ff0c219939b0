"""How the page writes times, numbers, phones and places."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlencode, urlsplit

import phonenumbers
from markupsafe import Markup, escape

from homing.decide.knowledge.standing import Standing
from homing.model.fleet import Account


def span(seconds: float) -> str:
    """How long, in the two largest units: `2 d 4 h`, `3 min 49 s`, `0.4 s`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}\u00a0s"
    whole = round(seconds)
    for size, name, below, below_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size}\u00a0{name}" + (f" {rest}\u00a0{below_name}" if rest else "")
    return f"{whole}\u00a0s"


def took(milliseconds: int | None) -> str:
    """How long something took, to the hundredth where it was short."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds / 1000:.2f}\u00a0s" if milliseconds < 9_995 else span(milliseconds / 1000)


def ago(at: datetime | None, now: datetime) -> str:
    return span((now - at).total_seconds()) if at is not None else "–"


def moment(at: datetime | None, now: datetime) -> str:
    """When: the time of a moment of today, else its day too."""
    if at is None:
        return "–"
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at.day} {at:%b %H:%M}"


def short(url: str | None, names: dict[str, str] | None = None) -> str:
    """An instance by its name, else by host and port."""
    if url is None:
        return "–"
    return (names or {}).get(url) or urlsplit(url).netloc or url


def spaced(word: str) -> str:
    return word.replace("_", " ")


def href(path: str, query: Mapping[str, str]) -> str:
    """An address with those of the query that say something."""
    told = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{told}" if told else path


def sentence(text: str) -> str:
    """A reason as a sentence of its own. An address keeps its small letters."""
    if not text:
        return ""
    begun = text if text.startswith("http") else text[:1].upper() + text[1:]
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def commands(text: str) -> Markup:
    """What stands in backticks is for a terminal."""
    parts = [str(escape(part)) for part in text.split("`")]
    shown = (f'<span class="mono">{part}</span>' if place % 2 else part for place, part in enumerate(parts))
    return Markup("".join(shown))  # noqa: S704 - each part was escaped


def many(number: int, one: str, more: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


@lru_cache(200_000)
def _written(digits: str) -> str | None:
    try:
        parsed = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL).replace(" ", "\u00a0")


def phone(account: Account) -> str:
    """The account's phone as people read it; as it was given where nobody knows what it means."""
    return (_written(account.person) if account.person else None) or account.phone


SHAPES: dict[Standing, tuple[str, str]] = {
    Standing.LOGGED_OUT: ("diamond", "bad"),
    Standing.FAILED: ("cross", "bad"),
    Standing.QUARANTINED: ("barred", "warn"),
    Standing.WAITS: ("bars", "warn"),
    Standing.STARTING: ("ring", "busy"),
    Standing.MOVING: ("right", "busy"),
    Standing.DOUBTFUL: ("up", "warn"),
    Standing.UNKNOWN: ("square", "off"),
    Standing.STOPPED: ("square", "off"),
    Standing.CONNECTED: ("disc", "ok"),
}
"""What each word looks like. Any of the three, shape, word or colour, tells it alone."""

HEALTH_SHAPES: dict[str, tuple[str, str]] = {
    "healthy": ("disc", "ok"),
    "suspect": ("up", "warn"),
    "misconfigured": ("up", "warn"),
    "down": ("cross", "bad"),
    "draining": ("half", "busy"),
}

"""What answers of any gateway have in common: JSON, message ids, phones, times, and what a status means by itself."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import inf
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from homing.drivers.http.connection import Reply
from homing.drivers.redact import shown
from homing.drivers.values import CODE_MAX, NAME_MAX, text_in
from homing.model.fleet import InstanceUrl, ListedSession, SessionId, SessionList
from homing.model.sends.faults import Fault, Phase

T = TypeVar("T")
R = TypeVar("R")

ODDITIES_SHOWN = 20
ROWS_MAX = 200_000
LONG_BYTES = 256 * 1024
"""A longer answer is read beside the loop: a list of 1,000 sessions takes a few milliseconds."""
"""No list is longer: it would not be the list of one process."""
_LONGEST_WAIT_S = 24 * 3600.0
_DIGITS_MAX = 30
MILLISECONDS_FROM = 100_000_000_000
"""Unix timestamps above this are milliseconds: in seconds they would lie after the year 5000."""
_PHONE_DIGITS = range(5, 18)
_PROXY_STATUSES = frozenset({407, 421, 511})
"""RFC 9110 and RFC 6585: a proxy wants a login, or the request came to the wrong server. Nobody processed it."""
_REDIRECT_WORDS = "it answered with a redirect"
_WORDS_IN = ("error", "message", "detail")


# --- values -------------------------------------------------------------------------------------------------------


async def unhurried(reply: Reply, read: Callable[[Reply], R]) -> R:
    """What is read of an answer: of a long one beside the loop, so that nobody else waits for it."""
    return read(reply) if len(reply.body) <= LONG_BYTES else await asyncio.to_thread(read, reply)


def said_by(body: bytes) -> Any:
    """The JSON value of a body, or None if it is not JSON.

    One value that no number or text of ours can hold must not cost the rest: 1e400 and the like are infinite, which no
    value may be, and half a character is no text that is taken.
    """
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        pass
    try:
        return _patient.decode(body.decode())
    except (ValueError, RecursionError):
        return None


def _integer(word: str) -> int | float:
    return int(word) if len(word) <= _DIGITS_MAX else inf


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_patient = json.JSONDecoder(parse_int=_integer, parse_constant=_no_number)


def told_by(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body; an empty one if it is anything else."""
    said = said_by(body)
    return said if isinstance(said, dict) else {}


def part(said: Any, *names: str) -> Any:
    """What stands below these names, one inside the other; None where one of them is missing."""
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return said


def text(value: object) -> str | None:
    """A text with something in it, as it stands: to be read, and not to be kept or shown."""
    return value if isinstance(value, str) and value.strip() else None


def name_in(value: object) -> str | None:
    """A name, an id or a version, within its bounds."""
    return text_in(value, NAME_MAX) if text(value) is not None else None


def code_in(value: object) -> str | None:
    """A code to scan, as a text or a picture."""
    return text_in(value, CODE_MAX)


def unix_s(value: object) -> int:
    """A Unix timestamp in seconds, which may be written in milliseconds or as a text; 0 for what is none."""
    try:
        seconds = int(float(value)) if isinstance(value, (int, float, str)) else 0
    except (ValueError, OverflowError):
        return 0
    if seconds >= MILLISECONDS_FROM:
        seconds //= 1000
    return seconds if 0 < seconds < MILLISECONDS_FROM else 0


def phone_of(address: object) -> str | None:
    """The digits of a phone's address at WhatsApp: `628…@c.us`, `628…:12@s.whatsapp.net`. Other kinds have none."""
    if not isinstance(address, str):
        return None
    name, _, kind = address.partition("@")
    digits = name.partition(":")[0]
    is_phone = kind in ("", "c.us", "s.whatsapp.net") and digits.isascii() and digits.isdecimal()
    return digits if is_phone and len(digits) in _PHONE_DIGITS else None


def address_of(recipient: str, kind: str) -> str:
    """The recipient as an address of this kind (`c.us`); one that is an address already stays as it is."""
    return recipient if "@" in recipient else f"{recipient}@{kind}"


def id_of(value: object) -> str | None:
    """A message id, given as a text, as whatsapp-web.js writes it, or in the key of a message as Baileys does."""
    if isinstance(value, dict):
        value = part(value, "_serialized") or part(value, "id")
    return name_in(value)


# --- faults -------------------------------------------------------------------------------------------------------


def told_words(reply: Reply) -> str:
    """What an answer says went wrong, as it says it: not to be shown before `shown`."""
    if 300 <= reply.status < 400:
        return f"{_REDIRECT_WORDS} to {_origin(reply.headers.get('location', ''))}"
    told = told_by(reply.body)
    for name in _WORDS_IN:
        if (words := text(told.get(name))) is not None:
            return words
    return "" if told else reply.body[:400].decode("utf-8", "replace")


def _origin(location: str) -> str:
    """Where a redirect leads, without the path: whatever answered may have put anything there."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "nowhere"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme and parts.netloc else "another path"


def fault(reply: Reply, phase: Phase, words: str, secrets: Iterable[str] = ()) -> Fault:
    """The fault that an answer is, in words that are fit to be shown: its own, unless it leads elsewhere."""
    waits = phase in (Phase.THROTTLED, Phase.UNAVAILABLE)
    return Fault(
        phase,
        shown(words, secrets),
        reply.status,
        retry_after_s=retry_after_s(reply.headers) if waits else None,
        quoted=not 300 <= reply.status < 400,
    )


def malformed(reply: Reply, why: str, secrets: Iterable[str] = (), *, quoted: bool = False) -> Fault:
    """`quoted`: why it is malformed is told in its own words."""
    return Fault(Phase.REPLY_MALFORMED, shown(why, secrets), reply.status, quoted=quoted)


def clock_of(answer: Reply | Fault) -> datetime | None:
    """What the answering machine's clock said, in whole seconds (RFC 9110, `Date`); None where it does not tell."""
    return _date(answer.headers.get("date", "")) if isinstance(answer, Reply) else None


@lru_cache(256)
def _date(told: str) -> datetime | None:
    """Many instances tell the same second."""
    try:
        found = parsedate_to_datetime(told)
    except (ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else None


def plain_phase(status: int, *, refused: Phase) -> Phase:
    """What a status means whoever answers it. `refused`: what this gateway's other 4xx mean."""
    match status:
        case 401 | 403:
            return Phase.UNAUTHORISED
        case 404 | 405:
            return Phase.PATH_NOT_FOUND
        case 408 | 504:
            return Phase.GATEWAY_TIMED_OUT
        case 429:
            return Phase.THROTTLED
        case 502:
            return Phase.BAD_GATEWAY
        case 503:
            return Phase.UNAVAILABLE
        case _ if is_misdirected(status):
            return Phase.MISDIRECTED
        case _ if 400 <= status < 500:
            return refused
        case _ if status < 300:
            return Phase.REPLY_MALFORMED
        case _:
            return Phase.SERVER_ERROR


def is_garbled(words: str) -> bool:
    """Whether these are words for a body that is no JSON. Ours is: what arrived was not what we sent."""
    lowered = words.lower()
    return "json" in lowered and lowered.startswith(("unexpected", "expected", "bad control", "unterminated"))


def is_misdirected(status: int) -> bool:
    """Whether somebody in front of the gateway answered in its place, and passed nothing on."""
    return 300 <= status < 400 or status in _PROXY_STATUSES


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds; a date in it is measured against the answer's own `Date`, so no clock has to agree."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), _LONGEST_WAIT_S)
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), _LONGEST_WAIT_S)


# --- lists --------------------------------------------------------------------------------------------------------

Row = tuple[ListedSession, str]
"""A session as one row describes it, and what was odd about it: a sentence without a subject, or nothing."""


def list_of(
    instance: InstanceUrl, reply: Reply, rows: Sequence[T], read: Callable[[T], Row | None]
) -> SessionList | Fault:
    """The session list that these rows are. `read` answers None for a row that names no session.

    Of a session that is listed twice the row with the better claim counts: the one that can send, then the higher
    epoch.
    """
    if len(rows) > ROWS_MAX:
        return malformed(reply, f"the list has {len(rows)} rows, and at most {ROWS_MAX} are read")
    sessions: dict[SessionId, ListedSession] = {}
    oddities: list[str] = []
    for number, row in enumerate(rows, start=1):
        found = read(row)
        if found is None:
            oddities.append(f"row {number} names no session")
            continue
        listed, oddity = found
        if oddity:
            oddities.append(f"session {shown(listed.session_id)} {oddity}")
        before = sessions.get(listed.session_id)
        if before is not None:
            oddities.append(f"session {shown(listed.session_id)} is listed more than once")
            listed = max(before, listed, key=lambda one: (one.can_send, one.epoch or 0))
        sessions[listed.session_id] = listed
    return SessionList(instance, sessions, _some(oddities))


def _some(oddities: list[str]) -> tuple[str, ...]:
    if len(oddities) <= ODDITIES_SHOWN:
        return tuple(oddities)
    return (*oddities[:ODDITIES_SHOWN], f"{len(oddities) - ODDITIES_SHOWN} more rows were odd")

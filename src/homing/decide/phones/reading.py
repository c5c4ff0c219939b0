"""Which number did the caller write?

Nothing is ever sent to a number that the caller did not write: whoever names the country is taken at their word, and
of digits that name none, a reading counts only if no other is as good. What is sent is what was written, as digits; a
national number gets its country code in place of its trunk prefix, and nothing else is changed.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import assert_never

from homing.decide.phones import numbering
from homing.decide.phones.numbering import Reading
from homing.decide.phones.writing import LONGEST, Written, look
from homing.model.directory.phones import Bare, PhoneNumber, UnreadablePhone
from homing.model.errors import Code

_REMEMBERED = 20_000
_QUOTED_MAX = 40


def read(text: str, region: str, bare: Bare = Bare.STRICT) -> PhoneNumber | UnreadablePhone:
    """The number in a text. `region` (ISO 3166, upper case) is where national numbers belong; `bare` is what digits
    mean that do not say whether a country code leads them."""
    return _remembered(text, region, bare) if len(text) <= LONGEST else _read(text, region, bare)


@lru_cache(_REMEMBERED)
def _remembered(text: str, region: str, bare: Bare) -> PhoneNumber | UnreadablePhone:
    return _read(text, region, bare)


def _read(text: str, region: str, bare: Bare) -> PhoneNumber | UnreadablePhone:
    seen = look(text)
    if isinstance(seen, str):
        return UnreadablePhone(
            Code.PHONE_INVALID, f"{quoted(text)} is not a phone number: {seen}; write it like +62811801641"
        )
    readings = _readings(seen, region, bare)
    match readings:
        case [one]:
            return PhoneNumber(text, one.digits)
        case []:
            return UnreadablePhone(Code.PHONE_INVALID, _invalid(text, seen, region))
        case _:
            named = " or ".join(f"+{each.digits}" for each in readings)
            detail = f"{quoted(text)} can be read as {named}; write the one that is meant, with its +"
            return UnreadablePhone(Code.PHONE_AMBIGUOUS, detail)


def _readings(seen: Written, region: str, bare: Bare) -> list[Reading]:
    """Every number that it may be; only if it is exactly one, it was written."""
    if seen.explicit:
        return _explicit(seen)
    if seen.digits.startswith("00"):
        return _dialled(seen.digits, region)
    if seen.digits.startswith("0"):
        return _with_zero(seen.digits, region)
    if seen.bracketed:
        return _bracketed(seen, region)
    match bare:
        case Bare.INTERNATIONAL:
            return _distinct([numbering.international(seen.digits)])
        case Bare.NATIONAL:
            return _valid(numbering.national(seen.digits, region))
        case Bare.STRICT:
            return _bare(seen, region)
        case _:
            assert_never(bare)


def _explicit(seen: Written) -> list[Reading]:
    """One reading, which must be possible. Of `+44 (0)20…` the zero is left out, unless it belongs to the number."""
    plain = numbering.international(seen.digits)
    shorter = seen.without_optional_zero
    if shorter is None:
        return _distinct([plain])
    both = _distinct([plain, numbering.international(shorter)])
    return _valid(both) or both


def _dialled(digits: str, region: str) -> list[Reading]:
    """Behind 00 the country code, wherever that is dialled; where it is not, behind the region's own prefix."""
    plain = numbering.international(digits[2:])
    if numbering.dials_abroad_by_00(region) or (plain is not None and plain.valid):
        return _distinct([plain])
    longer = numbering.dialled_abroad(digits, region)
    return _distinct([plain, longer if longer is not None and longer.valid else None])


def _with_zero(digits: str, region: str) -> list[Reading]:
    """A zero leads no country code: it is the trunk prefix, or belongs to the number, or begins a prefix like 011."""
    at_home, abroad = numbering.national(digits, region), numbering.dialled_abroad(digits, region)
    valid = _valid([*at_home, abroad])
    if valid or not numbering.trunk_prefix(region).startswith("0") or abroad is not None:
        return valid
    # A zero may also begin a carrier's prefix, as in CO; then what follows it is not the whole number.
    plain = numbering.by_the_library(digits, region)
    return _distinct([reading for reading in at_home if reading.digits == plain])


def _bracketed(seen: Written, region: str) -> list[Reading]:
    """In brackets stands an area code, unless it is the country code or that stands before them."""
    code = numbering.country_code(region)
    abroad = numbering.international(seen.digits)
    if code in (seen.lead, seen.bracketed if not seen.lead else None) and _valid([abroad]):
        return _valid([abroad])
    at_home = _valid(numbering.national(seen.digits, region))
    if seen.lead in ("", numbering.trunk_prefix(region)):
        return at_home
    return _valid([*at_home, abroad])


def _bare(seen: Written, region: str) -> list[Reading]:
    """The region's own country code first; its own grouping of digits; else the only valid reading."""
    abroad, grouped = numbering.international(seen.digits), len(seen.groups) > 1
    own = seen.digits.startswith(numbering.country_code(region))
    if own and abroad is not None and abroad.valid and not grouped:
        return [abroad]
    at_home = _valid(numbering.national(seen.digits, region))
    as_usual = [each for each in at_home if grouped and seen.groups in numbering.groups_at_home(each)]
    if abroad is not None and abroad.valid:
        usual_abroad = grouped and seen.groups == numbering.groups_abroad(abroad)
        if own and (usual_abroad or not as_usual):
            return [abroad]
        if own or usual_abroad:
            return _distinct([abroad, *(as_usual or at_home)])
    return as_usual or _valid([abroad, *at_home, numbering.dialled_abroad(seen.digits, region)])


def _valid(readings: Iterable[Reading | None]) -> list[Reading]:
    return _distinct(each for each in readings if each is not None and each.valid)


def _distinct(readings: Iterable[Reading | None]) -> list[Reading]:
    return list(dict.fromkeys(each for each in readings if each is not None))


def _invalid(text: str, seen: Written, region: str) -> str:
    digits = seen.digits.removeprefix("00")
    if seen.explicit or seen.digits.startswith("00"):
        looked_at = [digits]
    elif seen.digits.startswith("0"):
        looked_at = [numbering.country_code(region) + seen.digits.removeprefix(numbering.trunk_prefix(region))]
    else:
        looked_at = [digits, numbering.country_code(region) + digits]
    named = " nor ".join(f"+{each[:20]}" for each in looked_at)
    neither = "neither " if len(looked_at) > 1 else ""
    return f"{quoted(text)} is no phone number: there is {neither or 'no '}{named}; write it like +62811801641"


def quoted(text: str) -> str:
    """What was written, cut to what an answer may show."""
    return repr(text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…")

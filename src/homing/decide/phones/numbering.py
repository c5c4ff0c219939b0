"""Which numbers may these digits be, by the numbering plans of the world?

The library that knows the plans repairs what it reads: it drops zeros and prefixes, and adds area codes. Here its
answer counts only where it has exactly the digits that were asked about.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, ValidationResult

from homing.decide.phones.aliases import person

DIGITS_MAX = 15
"""Of an international number, by ITU-T E.164."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A possible number: E.164 digits."""

    digits: str
    _number: PhoneNumber = field(compare=False, repr=False)

    @property
    def valid(self) -> bool:
        """Whether its plan has such numbers, not only numbers of this length. Asked only where it decides: it costs a
        quarter of reading the number."""
        return phonenumbers.is_valid_number(self._number)


def region_exists(region: str) -> bool:
    """Whether an ISO 3166 code, in upper case, has a numbering plan."""
    return region in phonenumbers.SUPPORTED_REGIONS


def country_code(region: str) -> str:
    return str(phonenumbers.country_code_for_region(region))


def international(digits: str) -> Reading | None:
    """The digits as a number with its country code; None if there can be none. An old form is judged by its new one."""
    if not digits or len(digits) > DIGITS_MAX:
        return None
    newest = person(digits)
    number = _parsed(newest)
    if number is None or phonenumbers.format_number(number, PhoneNumberFormat.E164) != f"+{newest}":
        return None
    # A number within an area is "possible" too for the library; without its area code it is nobody's.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return Reading(digits, number)


def national(digits: str, region: str) -> list[Reading]:
    """The digits as numbers of the region, with its trunk prefix or without."""
    code = country_code(region)
    found = [international(code + own) for own in dict.fromkeys([digits, *_without_trunk_prefix(digits, region)])]
    return [reading for reading in found if reading is not None]


def by_the_library(digits: str, region: str) -> str | None:
    """What the library makes of a national number, its repairs included: to be compared with, never to be sent."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")


def dialled_abroad(digits: str, region: str) -> Reading | None:
    """The digits as they are dialled in the region to reach another country: behind its prefix, such as 011."""
    match = re.match(_plan(region).international_prefix or "00", digits)
    return international(digits[match.end() :]) if match and match.end() else None


def dials_abroad_by_00(region: str) -> bool:
    """Whether 00 is the region's own prefix, so that none of the longer ones (of carriers) is meant."""
    plan = _plan(region)
    return "00" in (plan.international_prefix, plan.preferred_international_prefix)


def trunk_prefix(region: str) -> str:
    """What is dialled before national numbers; empty where nothing is."""
    return _plan(region).national_prefix or ""


def groups_abroad(reading: Reading) -> tuple[str, ...]:
    """The number's groups as they are usually written with the country code first."""
    return _groups(reading, PhoneNumberFormat.INTERNATIONAL)


def groups_at_home(reading: Reading) -> set[tuple[str, ...]]:
    """The number's groups as its country writes them, with the trunk prefix and without."""
    return {_groups(reading, PhoneNumberFormat.NATIONAL), groups_abroad(reading)[1:]}


def _without_trunk_prefix(digits: str, region: str) -> Iterator[str]:
    plan = _plan(region)
    if plan.national_prefix and digits.startswith(plan.national_prefix):
        yield digits[len(plan.national_prefix) :]
    prefixes = plan.national_prefix_for_parsing
    # Patterns with groups speak of carriers, or add what was not written.
    if prefixes and "(" not in prefixes and (match := re.match(prefixes, digits)):
        yield digits[match.end() :]


def _groups(reading: Reading, style: int) -> tuple[str, ...]:
    number = _parsed(reading.digits)
    return tuple(re.findall(r"\d+", phonenumbers.format_number(number, style))) if number is not None else ()


def _parsed(digits: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None


def _plan(region: str) -> PhoneMetadata:
    plan = PhoneMetadata.metadata_for_region(region)
    if plan is None:
        raise ValueError(f"there is no region {region!r}")
    return plan

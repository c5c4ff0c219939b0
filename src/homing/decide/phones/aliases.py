"""Which numbers are one person's?

Three countries changed how their mobile numbers are written, and WhatsApp still knows people by the form that they
registered with: `521…` and `52…` in Mexico, `54…15…` and `549…` in Argentina, eight and nine digits in Brazil. Aliases
serve comparison alone; a message is sent to the form that was written.
"""

import re
from functools import lru_cache

import phonenumbers

_REMEMBERED = 50_000
_MEXICO = re.compile(r"521(\d{10})")
_BRAZIL = re.compile(r"55([1-9]\d)([6-9]\d{7})")
_ARGENTINA = re.compile(r"54[1-8]\d{11}")
_AREA_CODE_LENGTHS = (2, 3, 4)


def same_person(one: str, other: str) -> bool:
    """Whether two numbers, as E.164 digits, are the same person's."""
    return one == other or person(one) == person(other)


@lru_cache(_REMEMBERED)
def person(digits: str) -> str:
    """The form by which a person's numbers are compared: the newest one, in E.164 digits."""
    if match := _MEXICO.fullmatch(digits):
        return f"52{match[1]}"
    if match := _BRAZIL.fullmatch(digits):
        return f"55{match[1]}9{match[2]}"
    if _ARGENTINA.fullmatch(digits):
        return _with_nine(digits) or digits
    return digits


def _with_nine(digits: str) -> str | None:
    """The form `549…` of an Argentine number with its 15 behind the area code; where that ends, the library knows."""
    try:
        read = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None
    newer = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)[1:]
    within = newer[3:]
    older = {f"54{within[:length]}15{within[length:]}" for length in _AREA_CODE_LENGTHS}
    return newer if newer.startswith("549") and digits in older else None

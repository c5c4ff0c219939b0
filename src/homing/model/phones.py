"""Phone numbers as the gateways take them: E.164 digits without the plus."""

from functools import lru_cache

import phonenumbers

_REMEMBERED = 10_000


@lru_cache(_REMEMBERED)
def e164_digits(given: str, region: str) -> str:
    """The digits of a number written as people write them; a national one belongs to `region` (ISO 3166, upper case).

    `0816108641` is national; `62811801641` and `+62 811-801-641` are international. Raises ValueError with a sentence
    for what cannot be a number anywhere.
    """
    cleaned = given.strip()
    for candidate in _readings(cleaned):
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    raise ValueError(f"{given!r} is not a possible phone number; write it like +62811801641")


def _readings(cleaned: str) -> list[str]:
    """A number that begins with neither a plus nor a zero is read as international first."""
    if cleaned.startswith(("+", "0")):
        return [cleaned]
    return [f"+{cleaned}", cleaned]

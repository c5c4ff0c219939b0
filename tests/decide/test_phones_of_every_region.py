"""The example numbers of every region, written in many ways: whoever is reached is the one who was written."""

from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from homing.decide.phones.aliases import same_person
from homing.decide.phones.reading import read
from homing.model.directory.phones import Bare, PhoneNumber

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)


def examples(region: str) -> Iterator[phonenumbers.PhoneNumber]:
    found = (phonenumbers.example_number_for_type(region, kind) for kind in KINDS)
    return (number for number in found if number is not None)


def formatted(number: phonenumbers.PhoneNumber, style: int) -> str:
    return str(phonenumbers.format_number(number, style))


def digits_of(number: phonenumbers.PhoneNumber) -> str:
    return formatted(number, PhoneNumberFormat.E164)[1:]


def explicit_ways(number: phonenumbers.PhoneNumber) -> list[str]:
    digits = digits_of(number)
    return [
        f"+{digits}",
        formatted(number, PhoneNumberFormat.INTERNATIONAL),
        f"00{digits}",
        f"wa.me/{digits}",
        f"https://wa.me/{digits}",
        f"tel:{formatted(number, PhoneNumberFormat.INTERNATIONAL).replace(' ', '-')}",
        f"whatsapp:+{digits}",
        f"{digits}@c.us",
        f"{digits}:7@s.whatsapp.net",
        f"(+{number.country_code}) {digits.removeprefix(str(number.country_code))}",
    ]


def bare_ways(number: phonenumbers.PhoneNumber) -> list[str]:
    """As people write them at home, and with the country code but without its plus."""
    at_home = formatted(number, PhoneNumberFormat.NATIONAL)
    abroad = formatted(number, PhoneNumberFormat.INTERNATIONAL)[1:]
    within = abroad.partition(" ")[2]
    plain = "".join(filter(str.isdecimal, at_home))
    return [at_home, plain, within, within.replace(" ", "-"), abroad, digits_of(number)]


@pytest.mark.parametrize("region", REGIONS)
def test_every_explicit_way_is_accepted_in_every_region_as_it_was_written(region: str) -> None:
    for number in examples(region):
        for text in explicit_ways(number):
            for home in (region, "ID", "US", "BR"):
                assert read(text, home) == PhoneNumber(text, digits_of(number)), (text, home)


@pytest.mark.parametrize("region", REGIONS)
def test_a_number_written_as_at_home_reaches_the_one_who_has_it_or_nobody(region: str) -> None:
    for number in examples(region):
        for text in bare_ways(number):
            found = read(text, region)
            if isinstance(found, PhoneNumber):
                assert same_person(found.digits, digits_of(number)), (text, found)


@pytest.mark.parametrize("region", REGIONS)
def test_bare_international_digits_reach_their_owner_or_nobody_wherever_they_are_read(region: str) -> None:
    for number in examples(region):
        for text in (digits_of(number), formatted(number, PhoneNumberFormat.INTERNATIONAL)[1:]):
            for home in ("ID", "US", "BR", "IN", "DE", "MX"):
                found = read(text, home)
                if isinstance(found, PhoneNumber):
                    assert same_person(found.digits, digits_of(number)), (text, home, found)
            assert read(text, "ID", Bare.INTERNATIONAL) == PhoneNumber(text, digits_of(number))


def test_nearly_every_number_is_understood_at_home() -> None:
    """Refusing everything would reach nobody wrongly, too."""
    numbers = [(region, number) for region in REGIONS for number in examples(region)]
    usual = [(region, formatted(number, PhoneNumberFormat.NATIONAL)) for region, number in numbers]
    refused = [each for each in usual if not isinstance(read(each[1], each[0]), PhoneNumber)]
    assert refused == []
    for region, number in numbers:
        home = read(formatted(number, PhoneNumberFormat.NATIONAL), region, Bare.NATIONAL)
        assert not isinstance(home, PhoneNumber) or same_person(home.digits, digits_of(number))

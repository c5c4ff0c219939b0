"""Which number did the caller write? Never one that they did not."""

import pytest

from homing.decide.phones.aliases import person, same_person
from homing.decide.phones.reading import read
from homing.model.directory.phones import Bare, PhoneNumber, UnreadablePhone
from homing.model.errors import Code


def digits(text: str, region: str, bare: Bare = Bare.STRICT) -> str:
    """The digits that would be sent to, or why nothing would be."""
    found = read(text, region, bare)
    if isinstance(found, UnreadablePhone):
        return found.code.value
    assert found.written == text
    return found.digits


def reason(text: str, region: str) -> str:
    found = read(text, region)
    assert isinstance(found, UnreadablePhone)
    return found.reason


@pytest.mark.parametrize(
    ("region", "text", "right"),
    [
        ("ID", "5215500000001", "5215500000001"),
        ("ID", "0062811801641", "62811801641"),
        ("ID", "wa.me/62811801641", "62811801641"),
        ("ID", "62811801641.0", "phone_invalid"),
        ("ID", "54 9 11 15 2345 6789", "phone_invalid"),
        ("ID", "22500000012", "phone_invalid"),
        ("ID", "81212345678", "6281212345678"),
        ("US", "(201) 555-0123", "12015550123"),
        ("BR", "11 98765-4321", "5511987654321"),
        ("IN", "98765 43210", "919876543210"),
        ("MX", "55 1234 5678", "525512345678"),
        ("ID", "0816108641", "62816108641"),
        ("CO", "03 301 234 5678", "phone_invalid"),
    ],
)
def test_numbers_that_went_to_somebody_else(region: str, text: str, right: str) -> None:
    assert digits(text, region) == right


@pytest.mark.parametrize("region", ["ID", "US", "BR", "DE", "RU", "AU"])
@pytest.mark.parametrize(
    "text",
    [
        "+62811801641",
        "+62 811-801-641",
        "(+62) 811 801 641",
        "+62 (811) 801641",
        "0062811801641",
        "00 62 811 801 641",
        "wa.me/62811801641",
        "https://wa.me/62811801641",
        "https://wa.me/+62811801641/",
        "HTTP://www.WA.me/62811801641",
        "tel:+62-811-801-641",
        "tel:62811801641",
        "whatsapp:+62811801641",
        "62811801641@c.us",
        "62811801641@s.whatsapp.net",
        "62811801641:12@s.whatsapp.net",
        "  +62\u00a0811\u2011801\u2011641\u202c",
    ],
)
def test_whoever_names_the_country_is_taken_at_their_word_everywhere(text: str, region: str) -> None:
    assert digits(text, region) == "62811801641"
    assert digits(text, region, Bare.NATIONAL) == "62811801641"


@pytest.mark.parametrize(
    ("region", "text", "right"),
    [
        ("ID", "0816108641", "62816108641"),
        ("ID", "(021) 5550-1234", "622155501234"),
        ("ID", "62811801641", "62811801641"),
        ("ID", "62 811-801-641", "62811801641"),
        ("ID", "62 (811) 801641", "62811801641"),
        ("ID", "62.811.801.641", "62811801641"),
        ("ID", "+44 20 7946 0958", "442079460958"),
        ("ID", "+44 (0)20 7946 0958", "442079460958"),
        ("ID", "+39 (0)6 698 12345", "390669812345"),
        ("US", "201-555-0123", "12015550123"),
        ("US", "1 (201) 555-0123", "12015550123"),
        ("US", "12015550123", "12015550123"),
        ("BR", "(11) 98765-4321", "5511987654321"),
        ("BR", "11987654321", "5511987654321"),
        ("BR", "(55) 99123-4567", "5555991234567"),
        ("BR", "551187654321", "551187654321"),
        ("MX", "5215512345678", "5215512345678"),
        ("AR", "011 15-2345-6789", "54111523456789"),
        ("AR", "+54 9 11 2345 6789", "5491123456789"),
        ("RU", "8 (912) 345-67-89", "79123456789"),
        ("BY", "8 029 491-19-11", "375294911911"),
        ("FR", "01.42.68.53.00", "33142685300"),
        ("IT", "06 698 12345", "390669812345"),
    ],
)
def test_what_is_sent_is_what_was_written(region: str, text: str, right: str) -> None:
    assert digits(text, region) == right


@pytest.mark.parametrize(
    ("region", "text", "right"),
    [
        ("US", "011 62 811801641", "62811801641"),
        ("JP", "010 62 811801641", "62811801641"),
        ("AU", "0011 62 811801641", "62811801641"),
        ("BR", "0021 62 811801641", "62811801641"),
        ("RU", "8 10 62 811801641", "62811801641"),
        ("ID", "008 65 6123 4567", "phone_ambiguous"),
        ("ID", "00 86 138 0013 8000", "8613800138000"),
        ("ID", "011 62 811801641", "phone_invalid"),
        ("HK", "00 1 201 555 0123", "12015550123"),
    ],
)
def test_a_regions_own_way_to_dial_abroad_is_read_there_and_nowhere_else(region: str, text: str, right: str) -> None:
    found = digits(text, region)
    if right == "phone_invalid":
        assert found.startswith(("phone_", "62116281")), "at the most an Indonesian number of that many digits"
    else:
        assert found == right


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "12",
        "+",
        "+62",
        "abc",
        "+1-800-FLOWERS",
        "+62811801641 ext. 5",
        "+62811801641;ext=5",
        "+62811801641x5",
        "tel:+62811801641;phone-context=+62",
        "62811801641.0",
        "62811801641.00",
        "6.2811801641E+10",
        "62811801641,0",
        "0811801641/0811801642",
        "0811801641\n0811801642",
        "0811801641 0811801642",
        "٠٨١١٨٠١٦٤١",
        "+٦٢٨١١٨٠١٦٤١",
        "６２８１１８０１６４１",
        "＋62811801641",
        "-62811801641",
        "++62811801641",
        "62+811801641",
        "+0062811801641",
        "+620811801641",
        "wa.me/0811801641",
        "https://wa.me/62811801641?text=hello",
        "https://example.com/62811801641",
        "123456789@lid",
        "1203630@g.us",
        "status@broadcast",
        "62811801641@example.com",
        "+6281180164181234",
        "+99912345678901234567",
        "((62)) 811801641",
        "0" * 30,
        "8" * 200,
    ],
)
@pytest.mark.parametrize("bare", Bare)
def test_what_is_no_number_is_refused_and_never_repaired(text: str, bare: Bare) -> None:
    assert digits(text, "ID", bare) == "phone_invalid"


def test_the_refusal_names_every_reading_in_full() -> None:
    assert reason("2015550123", "US") == (
        "'2015550123' can be read as +2015550123 or +12015550123; write the one that is meant, with its +"
    )
    assert "+22500000012 nor +6222500000012" in reason("22500000012", "ID")
    assert "no +620811801641" in reason("+620811801641", "ID")
    assert "200 characters" in reason("8" * 200, "ID")


def test_a_local_number_without_its_area_code_is_nobodys() -> None:
    assert digits("555-0123", "US") == "phone_invalid"
    assert digits("+1 555-0123", "US") == "phone_invalid"


@pytest.mark.parametrize(
    ("bare", "region", "text", "right"),
    [
        (Bare.STRICT, "US", "2015550123", "phone_ambiguous"),
        (Bare.NATIONAL, "US", "2015550123", "12015550123"),
        (Bare.INTERNATIONAL, "US", "2015550123", "2015550123"),
        (Bare.NATIONAL, "US", "+2015550123", "2015550123"),
        (Bare.INTERNATIONAL, "US", "(201) 555-0123", "12015550123"),
        (Bare.INTERNATIONAL, "ID", "0816108641", "62816108641"),
        (Bare.NATIONAL, "ID", "811801641", "62811801641"),
        (Bare.INTERNATIONAL, "ID", "811801641", "phone_invalid"),
    ],
)
def test_owners_of_uniform_data_say_what_bare_digits_mean(bare: Bare, region: str, text: str, right: str) -> None:
    assert digits(text, region, bare) == right


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("5215512345678", "525512345678"),
        ("541115" + "23456789", "5491123456789"),
        ("54343154955006", "5493434955006"),
        ("54296615" + "423456", "5492966423456"),
        ("551187654321", "5511987654321"),
    ],
)
def test_an_old_form_is_the_same_person_and_is_sent_as_it_was_written(older: str, newer: str) -> None:
    assert person(older) == person(newer) == newer
    assert digits(f"+{older}", "ID") == older
    assert digits(f"+{newer}", "ID") == newer
    assert digits(older, "ID") == older


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("551132654321", "5511932654321"),
        ("551155554321", "5511955554321"),
        ("541123456789", "5491123456789"),
        ("62811801641", "62811801642"),
        ("521551234567", "52551234567"),
        ("49111523456789", "4991123456789"),
    ],
)
def test_other_people_are_not_aliases(one: str, other: str) -> None:
    assert not same_person(one, other)


def test_an_old_form_is_valid_only_if_its_new_form_is() -> None:
    assert digits("5210000000000", "MX") == digits("520000000000", "MX") == "phone_invalid"
    assert digits("+52100000000", "ID") == digits("+5200000000", "ID") == "phone_invalid"
    assert digits("551087654321", "BR") == digits("5510987654321", "BR") == "phone_invalid"


def test_a_number_keeps_what_was_written() -> None:
    assert read("+62 811-801-641", "ID") == PhoneNumber("+62 811-801-641", "62811801641")
    refused = read("x", "ID")
    assert isinstance(refused, UnreadablePhone)
    assert refused.code is Code.PHONE_INVALID

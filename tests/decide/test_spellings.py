"""Some mobile numbers are written in two ways, and only WhatsApp knows which one a person has there."""

import pytest

from homing.decide.phones.spellings import goes_to, has_two, one_line, spellings
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.calls import NumberChecked

BR, BR_OLD = "5511987654321", "551187654321"
MX, MX_OLD = "525512345678", "5215512345678"
AR, AR_OLD = "5491123456789", "541123456789"
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID})


@pytest.mark.parametrize(("one", "other"), [(BR, BR_OLD), (MX, MX_OLD), (AR, AR_OLD)], ids=["BR", "MX", "AR"])
def test_a_mobile_number_of_these_countries_has_another_spelling(one: str, other: str) -> None:
    assert spellings(one) == (one, other)
    assert spellings(other) == (other, one)


@pytest.mark.parametrize(
    "digits",
    ["628118016410", "14155550123", "551132345678", "55119876543", "5511932345678", "525", "54911", "5311987654321",
     "55119876543211", "120363025@g.us", "5511987654321-1@g.us", "status@broadcast", ""],
)  # fmt: skip
def test_all_others_have_one(digits: str) -> None:
    """Landlines in Brazil, other countries, other lengths, and what is no phone."""
    assert spellings(digits) == (digits,)
    assert not has_two(digits)


@pytest.mark.parametrize(("one", "other"), [(BR, BR_OLD), (MX, MX_OLD), (AR, AR_OLD), (AR, "54111523456789")])
def test_what_went_to_one_spelling_is_known_by_a_report_of_the_other(one: str, other: str) -> None:
    assert one_line(one) == one_line(other)
    assert one_line(one) != one_line(one[:-1] + "0")


def phone(digits: str) -> NumberChecked:
    return NumberChecked(exists=True, address=Address(AddressKind.PHONE, digits))


@pytest.mark.parametrize(("written", "known"), [(BR, BR_OLD), (BR_OLD, BR), (MX_OLD, MX), (AR_OLD, AR)])
def test_a_message_goes_to_the_spelling_that_the_gateway_knows(written: str, known: str) -> None:
    assert has_two(written)
    assert goes_to(written, written, phone(known), REACHES) == known


def test_an_answer_with_somebody_elses_number_leads_no_message_astray() -> None:
    assert goes_to(BR, BR, phone("5511999999999"), REACHES) == BR
    assert goes_to(BR, BR_OLD, phone("628118016410"), REACHES) == BR


def test_a_number_that_nobody_has_is_sent_to_as_written() -> None:
    assert goes_to(BR, BR_OLD, NumberChecked(exists=False), REACHES) == BR


def test_a_gateway_that_tells_no_address_vouches_for_what_it_was_asked() -> None:
    assert goes_to(BR, BR_OLD, NumberChecked(exists=True), REACHES) == BR_OLD


def test_a_hidden_id_is_used_where_it_is_reached() -> None:
    hidden = NumberChecked(exists=True, address=Address(AddressKind.LID, "123456"))
    assert goes_to(BR, BR, hidden, REACHES) == "123456@lid"
    assert goes_to(BR, BR, hidden, frozenset({AddressKind.PHONE})) == BR

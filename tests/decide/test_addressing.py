"""Addresses of any kind: read whole or not at all, and the same after they were kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.phones.addressing import read_recipient
from homing.decide.phones.reading import read
from homing.model.directory.phones import PhoneNumber, UnreadablePhone
from homing.model.errors import Code
from homing.model.sends.addresses import Address, AddressKind, Recipient, is_id

DIGITS = st.text("0123456789", min_size=1, max_size=24)


def ids(kind: AddressKind) -> st.SearchStrategy[str]:
    match kind:
        case AddressKind.PHONE:
            return st.text("0123456789", min_size=1, max_size=15)
        case AddressKind.GROUP:
            return DIGITS | st.builds("{}-{}".format, DIGITS, DIGITS)
        case AddressKind.STATUS:
            return st.just("status")
        case _:
            return DIGITS


ADDRESSES = st.sampled_from(AddressKind).flatmap(lambda kind: ids(kind).map(lambda name: Address(kind, name)))


@given(ADDRESSES)
def test_an_address_survives_being_kept_as_text(address: Address) -> None:
    assert Address.of(str(address)) == address


@given(ADDRESSES.filter(lambda each: each.kind is not AddressKind.PHONE))
def test_what_is_no_phone_is_read_as_it_is_written(address: Address) -> None:
    assert read_recipient(str(address), "ID") == Recipient(str(address), address)


@given(st.text(max_size=60), st.sampled_from(["g.us", "lid", "newsletter", "broadcast"]))
def test_nothing_but_a_whole_id_stands_before_the_server(name: str, server: str) -> None:
    found = read_recipient(f"{name}@{server}", "ID")
    if isinstance(found, Recipient):
        assert is_id(found.address.kind, found.address.id)
        assert found.address.id.removesuffix("-") in name.lower()
        assert str(found.address).endswith(server)
    else:
        assert found.code is Code.PHONE_INVALID


@given(st.text(max_size=40), st.sampled_from(["ID", "BR", "MX", "AR", "US", "GB"]))
def test_a_text_without_an_address_is_read_as_a_phone_always_was(text: str, region: str) -> None:
    text = text.replace("@", "")
    number, found = read(text, region), read_recipient(text, region)
    if isinstance(number, PhoneNumber):
        assert found == Recipient(text, Address(AddressKind.PHONE, number.digits))
    else:
        assert found == number


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0811801641", "62811801641"),
        ("+62 811-801-641", "62811801641"),
        ("62811801641@c.us", "62811801641"),
        ("62811801641@s.whatsapp.net", "62811801641"),
        ("62811801641:12@s.whatsapp.net", "62811801641"),
        ("62811801641@S.WhatsApp.net", "62811801641"),
        ("120363025246125486@g.us", "120363025246125486@g.us"),
        ("628111-1400000000@g.us", "628111-1400000000@g.us"),
        ("212345678901234@lid", "212345678901234@lid"),
        ("212345678901234:3@lid", "212345678901234@lid"),
        ("120363144038483540@newsletter", "120363144038483540@newsletter"),
        ("status@broadcast", "status@broadcast"),
        (" Status@Broadcast ", "status@broadcast"),
    ],
)
def test_every_form_in_use_is_taken(written: str, meant: str) -> None:
    found = read_recipient(written, "ID")
    assert isinstance(found, Recipient), found
    assert str(found.address) == meant


@pytest.mark.parametrize(
    "written",
    [
        "@g.us",
        "abc@g.us",
        "120-@g.us",
        "1-2-3@g.us",
        "120363@g.us ,5",
        "12345@broadcast",
        "me@example.org",
        "62811801641@hosted",
        "12 34@lid",
        "١٢٣@lid",
        "6281@c.us@g.us",
        "1:2:3@lid",
        "120363:1@g.us",
    ],
)
def test_what_is_not_understood_to_the_last_sign_is_refused(written: str) -> None:
    found = read_recipient(written, "ID")
    assert isinstance(found, UnreadablePhone)
    assert found.code is Code.PHONE_INVALID


@pytest.mark.parametrize(
    ("kind", "jid"),
    [
        (AddressKind.PHONE, "5511987654321@c.us"),
        (AddressKind.LID, "5511987654321@lid"),
        (AddressKind.NEWSLETTER, "5511987654321@newsletter"),
        (AddressKind.GROUP, "5511987654321@g.us"),
    ],
)
def test_an_engine_is_given_the_server_of_the_kind(kind: AddressKind, jid: str) -> None:
    assert Address(kind, "5511987654321").jid("c.us") == jid


@pytest.mark.parametrize("text", ["", "status", "12@c.us", "a@g.us", "1" * 16, "12@", "@lid"])
def test_no_other_text_stands_for_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Address.of(text)

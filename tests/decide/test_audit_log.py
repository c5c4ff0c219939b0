"""What the audit log shows of phones and secrets, and what its codes stand on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.access.audit import BEGINNING, ChainKey, ChainKeys, difference, digest, link, masked
from homing.model.directory.audit import Act, Entry, Via

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENTRY = Entry(
    7, AT, Act("a", Via.API, "ops", "POST /x", "::1", "k"), "account.changed", "account 1", {"a": 1}, {"a": 2}
)
KEY = ChainKey.of("secret")


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("0816108641", "*******641"),
        ("+62 816-1086-41", "+** ***-****-41"),
        ("62811801641", "********641"),
        ("12345", "*****"),
        ("", ""),
    ],
)
def test_of_a_phone_the_last_digits_are_shown(phone: str, shown: str) -> None:
    assert masked({"phone": phone}) == {"phone": shown}


@given(st.text("0123456789+- ()", max_size=30))
def test_no_more_than_three_digits_of_a_phone_are_shown(phone: str) -> None:
    assert sum(each.isdigit() for each in masked({"phone": phone})["phone"]) <= 3


@pytest.mark.parametrize("name", ["secret", "secret_hash", "api_key", "token", "hmac_secret", "qr", "password"])
def test_nothing_of_a_secret_is_shown(name: str) -> None:
    assert masked({name: "hunter2-hunter2"}) == {name: "***"}
    assert masked({"more": {name: "hunter2-hunter2"}}) == {"more": {name: "***"}}


def test_a_phone_in_a_name_or_a_label_is_one_too() -> None:
    told = masked({"name": "shop +62 811 801 641", "requires": {"line": "62811801641"}, "list": ["0816108641"]})
    assert "801" not in repr(told)
    assert told["name"].startswith("shop +")


def test_what_names_a_thing_is_shown_whole() -> None:
    names = {"session_id": "webjs_1_62811801641", "uuid": "0190f2b4-0000-7000-8000-000000000144", "id": 62811801641}
    assert masked(names) == names


def test_a_login_in_an_address_is_not_shown() -> None:
    assert masked({"instance_url": "http://ops:hunter2@wa1:3001"}) == {"instance_url": "http://***@wa1:3001"}


def test_what_changed_is_told_as_it_was_and_is() -> None:
    assert difference({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2, "c": None}, {"b": 3, "c": 4})


def test_the_digest_of_many_things_does_not_depend_on_their_order() -> None:
    assert digest(["a", "b"]) == digest(["b", "a"]) != digest(["a", "c"])


@pytest.mark.parametrize(
    "other",
    [
        replace(ENTRY, id=8),
        replace(ENTRY, at=AT + timedelta(microseconds=1)),
        replace(ENTRY, action="account.deleted"),
        replace(ENTRY, subject="account 2"),
        replace(ENTRY, before=None),
        replace(ENTRY, after={"a": 3}),
        replace(ENTRY, count=2),
        replace(ENTRY, digest="d"),
        *(
            replace(ENTRY, act=replace(ENTRY.act, **{name: value}))
            for name, value in {
                "id": "b",
                "via": Via.COMMAND,
                "actor": "x",
                "request": "x",
                "origin": "x",
                "key_id": None,
                "workspace_id": 1,
            }.items()
        ),
    ],
)
def test_every_field_is_in_the_code(other: Entry) -> None:
    assert link(BEGINNING, other, KEY) != link(BEGINNING, ENTRY, KEY)


def test_the_code_depends_on_what_is_before_and_on_the_secret() -> None:
    codes = {link(BEGINNING, ENTRY, KEY), link("1" * 64, ENTRY, KEY), link(BEGINNING, ENTRY, ChainKey.of("other"))}
    assert len({*codes, link(BEGINNING, ENTRY, ChainKey())}) == 4


def test_the_same_moment_is_the_same_in_whatever_zone_a_database_tells_it() -> None:
    elsewhere = replace(ENTRY, at=AT.astimezone(timezone(timedelta(hours=7))))
    assert link(BEGINNING, elsewhere, KEY) == link(BEGINNING, ENTRY, KEY)


def test_keys_are_found_by_a_name_that_does_not_tell_them() -> None:
    keys = ChainKeys.of("new", ["old", ""])
    assert keys.find(ChainKey.of("old").id) == ChainKey.of("old")
    assert keys.find("") == ChainKey()
    assert keys.find("ffffffff") is None
    assert "new" not in keys.newest.id

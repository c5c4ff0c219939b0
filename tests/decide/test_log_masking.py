"""The log shows the last digits of a phone number, and of ids, times and figures all of them."""

import pytest

from homing.decide.access.log_masking import masked


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("+62811801641", "+********641"),
        ("the phone 62811801641 is another's", "the phone ********641 is another's"),
        ("62811801641@c.us", "********641@c.us"),
        ("contacts/62811801641.", "contacts/********641."),
        ("webjs_1_62811801641", "webjs_1_62811801641"),
        ("019a2c48-e752-76f8-8529-488653394ff5", "019a2c48-e752-76f8-8529-488653394ff5"),
        ("3EB0123456789012", "3EB0123456789012"),
        ("2026-01-01T12:00:00.123456789", "2026-01-01T12:00:00.123456789"),
        ("1.34.123456789", "1.34.123456789"),
        ("http://10.0.0.1:3001", "http://10.0.0.1:3001"),
        ("system 7301234567890123456", "system 7301234567890123456"),
        ("in 12345678 ms", "in 12345678 ms"),
    ],
)
def test_numbers_that_stand_by_themselves_lose_their_digits(said: str, shown: str) -> None:
    assert masked({"reason": said}) == {"reason": shown}


def test_numbers_in_lists_and_fields_are_masked_and_what_is_secret_is_not_shown() -> None:
    line = {"at": "x", "phones": ["62811801641"], "told": {"api_key": "hk_1", "key_id": "key-1"}, "epoch": 62811801641}
    assert masked(line) == {
        "at": "x",
        "phones": ["********641"],
        "told": {"api_key": "***", "key_id": "key-1"},
        "epoch": 62811801641,
    }

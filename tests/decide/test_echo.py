"""What a gateway says of a message goes into logs and answers, and the message does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.sending.echo import BLOT, without_echo

TEXT, PHONE = "Dear Anna,\nyour code is 4711-98", "6281612345678"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (f"cannot send '{TEXT}' to {PHONE}@c.us", "cannot send '***' to ***@c.us"),
        ("Evaluation failed for dear anna, your code", "Evaluation failed for ***"),
        ("…your code is 4711 (cut)", "…*** (cut)"),
        ("number +62 816-1234-5678 is not on WhatsApp", "number *** is not on WhatsApp"),
        ("number (0816) 12345678 is not on WhatsApp", "number (0816) *** is not on WhatsApp"),
        ("wid error: invalid wid", "wid error: invalid wid"),
        ("Session not connected after 12345 ms", "Session not connected after 12345 ms"),
    ],
)
def test_what_is_quoted_of_the_message_is_blotted_out(words: str, left: str) -> None:
    assert without_echo(words, TEXT, PHONE) == left


def test_a_short_text_is_blotted_as_a_whole_and_in_no_other_word() -> None:
    assert without_echo("could not send ok: token broken, not Ok", "ok", PHONE) == (
        f"could not send {BLOT}: token broken, not {BLOT}"
    )


@given(st.text(max_size=40), st.text(min_size=8, max_size=60), st.text(max_size=40))
def test_no_eight_characters_of_a_text_survive(before: str, text: str, after: str) -> None:
    quoted = " ".join(text.split())
    left = without_echo(f"{before} {quoted} {after}", text, PHONE)
    assert len(quoted) < 8 or quoted not in left

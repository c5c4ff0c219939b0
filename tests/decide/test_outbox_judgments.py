"""Templates and chats: what one person is sent, and which messages are to the same person."""

import pytest

from homing.decide.outbox import templates
from homing.decide.outbox.chats import chat_of
from homing.model.sends.addresses import Address


def test_what_stands_in_a_variable_is_not_read_as_a_template_again() -> None:
    given = {"name": "{{secret}}", "secret": "hunter2"}
    assert templates.filled("Dear {{name}}", given) == "Dear {{secret}}"


def test_an_empty_variable_is_a_missing_one() -> None:
    assert templates.missing(("name", "city"), {"name": "", "other": "x"}) == ["name", "city"]


@pytest.mark.parametrize("template", ["{{name", "{{}}", "{{na me}}", "}}{{", "{{1}}", "{{" + "a" * 65 + "}}"])
def test_a_broken_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="variable"):
        templates.places(template)


@pytest.mark.parametrize("template", ["", "plain", "{{a}}{{ a }}{{b}}", "x{{a}}y{{b}}z"])
def test_the_length_of_a_text_is_known_before_it_is_made(template: str) -> None:
    given = {"a": "x" * 1_000, "b": "\U0001f600"}
    assert templates.length_of(template, given) == len(templates.filled(template, given))


@pytest.mark.parametrize(
    ("one", "other"),
    [("5215512345678", "525512345678"), ("551187654321", "5511987654321")],
)
def test_a_person_is_one_chat_however_the_number_is_written(one: str, other: str) -> None:
    assert chat_of(Address.of(one)) == chat_of(Address.of(other))

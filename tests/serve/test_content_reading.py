"""One reader of what is to be said: each type has its own fields, and nothing is passed over."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.phones.addressing import read_recipient
from homing.model.errors import Code, Problem
from homing.model.sends import content_json
from homing.model.sends.addresses import Address, AddressKind, Recipient
from homing.model.sends.content import (
    CAPTIONED,
    MEDIA_TYPES,
    ContactContent,
    Content,
    EditContent,
    KeptMedia,
    LinkedMedia,
    LocationContent,
    MediaContent,
    MessageRef,
    MessageType,
    PollContent,
    ReactionContent,
    RevokeContent,
    TextContent,
    words_of,
)
from homing.serve.content import ContentFields, content_of

URL = "https://x.example/a"
KEPT = KeptMedia("m1", "ab" * 32, 12, "image/png")


def address(text: str) -> Address:
    found = read_recipient(text, "ID")
    if not isinstance(found, Recipient):
        raise Problem(found.code, found.reason, field="phone")
    return found.address


def read(kept: KeptMedia | None = None, **said: Any) -> Content:
    return content_of(msgspec.convert(said, ContentFields), address, kept=kept)


def refused(kept: KeptMedia | None = None, **said: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(kept, **said)
    return caught.value


WHOLE: dict[MessageType, tuple[dict[str, Any], Content]] = {
    MessageType.TEXT: (
        {"message": "hi @6281", "reply_to": "3EB0AA", "mentions": ["0811801641", "212@lid", "+62 811801641"]},
        TextContent(
            "hi @6281",
            MessageRef("3EB0AA"),
            (Address(AddressKind.PHONE, "62811801641"), Address(AddressKind.LID, "212")),
        ),
    ),
    **{
        each: ({"media_url": URL, "caption": "look"}, MediaContent(each, LinkedMedia(URL), "look"))
        for each in sorted(CAPTIONED)
    },
    **{
        each: ({"media_url": "https://x.example/a"}, MediaContent(each, LinkedMedia("https://x.example/a")))
        for each in sorted(MEDIA_TYPES - CAPTIONED)
    },
    MessageType.LOCATION: (
        {"location": {"latitude": -6.2, "longitude": 106.8, "name": "Monas"}},
        LocationContent(-6.2, 106.8, "Monas"),
    ),
    MessageType.CONTACT: (
        {"contact": {"name": "Budi", "phone": "0811801641"}},
        ContactContent("Budi", "62811801641"),
    ),
    MessageType.POLL: (
        {"poll": {"question": "When?", "options": ["now", "later"], "selectable": 2}},
        PollContent("When?", ("now", "later"), 2),
    ),
    MessageType.REACTION: (
        {"target_message_id": "false_62811801641@c.us_3AFF", "emoji": "👍"},
        ReactionContent(MessageRef("3AFF"), "👍"),
    ),
    MessageType.EDIT: (
        {"target_message_id": "true_62811801641@c.us_3EB0AA", "message": "other words"},
        EditContent(MessageRef("3EB0AA", from_me=True), "other words"),
    ),
    MessageType.REVOKE: ({"target_message_id": "3EB0AA"}, RevokeContent(MessageRef("3EB0AA", from_me=True))),
}  # fmt: skip


def test_every_type_is_tried() -> None:
    assert set(WHOLE) == set(MessageType)


@pytest.mark.parametrize("kind", sorted(MessageType))
def test_each_type_is_read_from_its_fields(kind: MessageType) -> None:
    said, meant = WHOLE[kind]
    assert read(type=kind.value, **said) == meant


@pytest.mark.parametrize("kind", sorted(MessageType))
def test_a_content_survives_being_kept(kind: MessageType) -> None:
    content = WHOLE[kind][1]
    kept = msgspec.json.decode(msgspec.json.encode(content_json.written(content)))
    assert content_json.read(kept) == content


@pytest.mark.parametrize("kind", sorted(MessageType))
def test_a_field_of_another_type_is_refused_by_its_name(kind: MessageType) -> None:
    said = WHOLE[kind][0]
    stray = {"poll": WHOLE[MessageType.POLL][0]["poll"], "location": WHOLE[MessageType.LOCATION][0]["location"]}
    for name, value in stray.items():
        if name not in said:
            problem = refused(type=kind.value, **said, **{name: value})
            assert (problem.code, problem.field) == (Code.INVALID_REQUEST, name)


@pytest.mark.parametrize("kind", sorted(MessageType))
def test_a_type_without_its_fields_is_refused(kind: MessageType) -> None:
    assert refused(type=kind.value).code is Code.INVALID_REQUEST


def test_the_type_that_does_not_exist_names_those_that_do() -> None:
    problem = refused(type="fax", message="hi")
    assert problem.code is Code.UNSUPPORTED_TYPE
    assert all(each.value in problem.detail for each in MessageType)


def test_the_laravel_applications_body_is_taken() -> None:
    body = {"type": "image", "message": "the invoice", "media_url": "https://x.example/a.png", "file_name": "a.png"}
    content = read(**body)
    assert content == MediaContent(MessageType.IMAGE, LinkedMedia("https://x.example/a.png"), "the invoice", "a.png")
    assert words_of(content) == "the invoice"


def test_a_text_with_the_empty_fields_of_a_client_is_a_text() -> None:
    assert read(type="text", message="hi", media_url=None, file_name=None, caption="") == TextContent("hi")


def test_a_file_comes_from_one_place_only() -> None:
    assert read(KEPT, type="image") == MediaContent(MessageType.IMAGE, KEPT)
    assert refused(KEPT, type="image", media_url="https://x.example/a").code is Code.INVALID_REQUEST
    assert refused(type="image", media_url="https://x.example/a", media_id="m1").code is Code.INVALID_REQUEST


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b.pdf", "a\\b.pdf", "a\nb.pdf", "..", "a\x00.pdf"])
def test_a_file_name_is_no_path(name: str) -> None:
    assert refused(type="document", media_url="https://x.example/a", file_name=name).field == "file_name"


def test_what_somebody_else_said_can_be_neither_edited_nor_taken_back() -> None:
    theirs = "false_62811801641@c.us_3AFF"
    assert refused(type="edit", target_message_id=theirs, message="x").field == "target_message_id"
    assert refused(type="revoke", target_message_id=theirs).field == "target_message_id"


def test_a_reaction_in_a_group_knows_whose_message_it_is_at() -> None:
    content = read(type="reaction", target_message_id="false_12036@g.us_3AFF_62811@c.us", emoji="")
    assert content == ReactionContent(MessageRef("3AFF", participant=Address(AddressKind.PHONE, "62811")), "")
    assert content_json.read(content_json.written(content)) == content


@pytest.mark.parametrize("poll", [
    {"question": "?", "options": ["a", "a"]},
    {"question": "?", "options": ["a", "b"], "selectable": 3},
])  # fmt: skip
def test_a_poll_that_nobody_can_answer_is_refused(poll: dict[str, Any]) -> None:
    assert refused(type="poll", poll=poll).field == "poll"


@pytest.mark.parametrize("mention", ["120363@g.us", "status@broadcast", "120@newsletter"])
def test_only_persons_are_mentioned(mention: str) -> None:
    assert refused(message="hi", mentions=[mention]).field == "mentions"


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_text_is_kept_word_for_word(text: str, ref: str) -> None:
    content = TextContent(text, MessageRef(ref) if ref else None)
    assert content_json.read(content_json.written(content)) == content

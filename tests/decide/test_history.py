"""Does a chat tell that a message of unknown outcome was sent after all?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homing.decide.outbox.endings import CHAT_WAITS_S
from homing.decide.sending.history import CLOCKS_DIFFER_MAX_S, EARLY_BY_S, LOOKED_FOR_AFTER_S, Undecided, judged
from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.instances.events import Settlement
from homing.model.sends import content_json
from homing.model.sends.content import KeptMedia, LocationContent, MediaContent, MessageType
from homing.model.sends.history import Alike, ChatHistory, HandOver, SeenMessage
from homing.model.sends.messages import MessageRecord, MessageState

BEGUN = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENDED = BEGUN + timedelta(seconds=30)
GIVEN = HandOver(BEGUN, ENDED)
NOW = ENDED + timedelta(seconds=2)
RECORD = MessageRecord(
    uuid="019b0000-0000-7000-8000-000000000001",
    workspace_id=WorkspaceId(1),
    account_uuid=AccountUuid("a"),
    message_id="3EB0AA",
    recipient_phone="62811801641",
    text="hello",
    state=MessageState.UNKNOWN,
    code="unknown",
    reason="the reply did not come",
    attempts=1,
    instance_url=None,
    created_at=ENDED,
    updated_at=ENDED,
)
SHA256 = "ab" * 32
PICTURE = replace(
    RECORD,
    text="a caption",
    content=content_json.written(
        MediaContent(MessageType.IMAGE, KeptMedia("file", SHA256, 1_000, "image/jpeg"), caption="a caption")
    ),
)


def seen(message_id: str = "true_62811801641@c.us_3EB0FF", after_s: float = 5.0, **more: Any) -> SeenMessage:
    told = {"from_me": True, "text": "hello", "reached": True} | more
    return SeenMessage(message_id, at_s=int((BEGUN + timedelta(seconds=after_s)).timestamp()), **told)


def asked(
    *messages: SeenMessage, record: MessageRecord = RECORD, alike: Alike | None = None, **more: Any
) -> Settlement | Undecided:
    shown = ChatHistory(messages, **{"cut": False, "says_at": NOW} | more)
    return judged(record, GIVEN, shown, alike or Alike(), NOW)


def unknown(answer: Settlement | Undecided, *words: str) -> bool:
    return isinstance(answer, Undecided) and all(each in answer.reason for each in words)


# --- what settles -------------------------------------------------------------------------------------------------


def test_one_message_of_the_same_words_in_the_time_of_the_send_settles_it_under_its_id() -> None:
    found = asked(seen("true_62811801641@c.us_3EB0FF"), seen("true_x_3EB000", text="something else"))
    assert isinstance(found, Settlement)
    assert (found.message_uuid, found.message_id) == (RECORD.uuid, "true_62811801641@c.us_3EB0FF")
    assert "its chat shows the same" in found.reason


@pytest.mark.parametrize("spelt", ["3EB0AA", "true_62811801641@c.us_3EB0AA", "true_62811801641@c.us_3EB0AA_out"])
def test_our_own_id_settles_it_whenever_and_whatever_it_says(spelt: str) -> None:
    assert isinstance(asked(seen(spelt, after_s=9_000, text=None)), Settlement)


def test_a_gateway_that_does_not_tell_whether_whatsapp_has_it_is_believed_that_it_handed_it_over() -> None:
    assert isinstance(asked(seen(reached=None)), Settlement)


def test_a_file_is_the_one_with_its_hash_and_its_caption() -> None:
    picture = seen(file_sha256=SHA256, text="a caption")
    assert isinstance(asked(picture, record=PICTURE), Settlement)
    assert isinstance(asked(replace(picture, file_sha256="cd" * 32), record=PICTURE), Undecided)
    assert isinstance(asked(replace(picture, text="another"), record=PICTURE), Undecided)
    assert isinstance(asked(replace(picture, file_sha256=None), record=PICTURE), Undecided)


def test_a_picture_with_the_same_words_is_not_the_text() -> None:
    assert isinstance(asked(seen(file_sha256=SHA256)), Undecided)


# --- what does not ------------------------------------------------------------------------------------------------


def test_that_a_chat_does_not_show_it_proves_nothing() -> None:
    assert unknown(asked(), "which proves nothing")
    assert unknown(asked(seen(text="something else")), "which proves nothing")


def test_absence_is_never_a_failure() -> None:
    for answer in (asked(), asked(cut=True), asked(seen(), seen("other")), asked(seen(reached=False))):
        assert isinstance(answer, Undecided)


def test_two_like_it_settle_nothing() -> None:
    assert unknown(asked(seen("a"), seen("b")), "2 messages like it")


def test_one_that_belongs_to_another_message_of_ours_is_not_it() -> None:
    assert isinstance(asked(seen("a"), alike=Alike({"a"})), Undecided)
    found = asked(seen("a"), seen("b"), alike=Alike({"a"}))
    assert isinstance(found, Settlement) and found.message_id == "b"


def test_while_another_of_the_same_words_is_in_doubt_neither_is_settled() -> None:
    assert unknown(asked(seen(), alike=Alike(open=1)), "another message of the same words")


def test_what_the_other_one_wrote_is_not_ours() -> None:
    assert isinstance(asked(seen(from_me=False)), Undecided)
    assert isinstance(asked(seen("3EB0AA", from_me=False)), Undecided)


def test_what_was_written_before_it_was_handed_over_is_not_it() -> None:
    assert isinstance(asked(seen(after_s=-EARLY_BY_S)), Settlement), "within what clocks differ by"
    assert isinstance(asked(seen(after_s=-EARLY_BY_S - 2)), Undecided)


def test_what_was_written_after_it_was_given_up_may_be_what_somebody_said_again() -> None:
    assert isinstance(asked(seen(after_s=30)), Settlement)
    assert isinstance(asked(seen(after_s=31)), Undecided)
    assert unknown(asked(seen(after_s=45)), "from 15 s after it was given up", "may be another")


def test_a_message_without_a_time_is_not_it() -> None:
    assert isinstance(asked(replace(seen(), at_s=None)), Undecided)


def test_what_whatsapp_does_not_have_yet_is_not_sent() -> None:
    assert unknown(asked(seen(reached=False)), "does not have it yet")
    assert unknown(asked(seen("3EB0AA", reached=False)), "does not have it yet")


def test_older_messages_of_that_time_that_are_not_shown_may_be_like_it() -> None:
    assert unknown(asked(seen(), cut=True), "newest 1 messages")
    assert isinstance(asked(seen(), seen("old", after_s=-60), cut=True), Settlement), "it reaches back far enough"
    assert unknown(asked(cut=True), "newest 0 messages")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_is_off_widens_the_time_and_one_that_is_far_off_tells_none(sign: int) -> None:
    says_at = NOW + timedelta(seconds=sign * 20)
    assert isinstance(asked(seen(after_s=-20), says_at=says_at), Settlement)
    assert isinstance(asked(seen(after_s=-20)), Undecided)
    off = NOW + timedelta(seconds=sign * (CLOCKS_DIFFER_MAX_S + 1))
    assert unknown(asked(seen(), says_at=off), "clock is 61 s off")
    assert isinstance(asked(seen("3EB0AA"), says_at=off), Settlement), "an id needs no clock"


def test_what_no_chat_shows_in_a_comparable_way_is_not_looked_for() -> None:
    place = replace(RECORD, text="here", content=content_json.written(LocationContent(1.0, 2.0, "here")))
    assert unknown(asked(seen(text="here"), record=place), "nothing but texts and files")


def test_all_looks_are_within_the_time_that_a_chat_waits() -> None:
    assert sum(LOOKED_FOR_AFTER_S) + 5.0 <= CHAT_WAITS_S


def test_a_gateway_that_says_nothing_of_its_clock_settles_by_ids_alone() -> None:
    assert unknown(asked(seen(), says_at=None), "says nothing of its clock")
    assert isinstance(asked(seen("3EB0AA", text=None), says_at=None), Settlement)

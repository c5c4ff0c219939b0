"""Which unknown send does an event settle?"""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homing.decide.reports import settling
from homing.model.fleet import AccountUuid, SessionId, WorkspaceId
from homing.model.instances.events import DeliveryEvidence
from homing.model.sends.messages import MessageRecord, MessageState

S = SessionId("webjs_1_a")
BEGUN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def made_at(moment: datetime, number: int = 0) -> str:
    """A uuid of version 7 made at that moment."""
    return str(uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number))


RECORD = MessageRecord(
    uuid=made_at(BEGUN),
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
    created_at=BEGUN + timedelta(seconds=30),
    updated_at=BEGUN + timedelta(seconds=30),
)
OWN_ID = DeliveryEvidence("message_sent", S, "true_62811801641@c.us_3EB0FF", "62811801641", "hello")


def settled(sign: DeliveryEvidence, *records: MessageRecord, after_s: float = 1.0, **more: Any) -> str | None:
    found = settling.settled(records or [RECORD], sign, BEGUN + timedelta(seconds=after_s), **more)
    return found.message_uuid if found is not None else None


@pytest.mark.parametrize(
    "spelt",
    ["3EB0AA", "true_62811801641@c.us_3EB0AA", "true_1203@g.us_3EB0AA_62811801641@c.us"],
)
def test_our_id_settles_however_the_gateway_wraps_it_and_however_late(spelt: str) -> None:
    sign = DeliveryEvidence("message_delivered", S, spelt, None, None)
    found = settling.settled([RECORD], sign, BEGUN + timedelta(days=3))
    assert found is not None
    assert (found.message_uuid, found.message_id) == (RECORD.uuid, spelt)
    assert "message_delivered event names its id" in found.reason


@pytest.mark.parametrize("spelt", ["3EB0A", "3EB0AAB", "false_62811801641@c.us_3EB0AA", "x_3EB0AA", None])
def test_another_id_does_not(spelt: str | None) -> None:
    assert settled(DeliveryEvidence("message_delivered", S, spelt, None, None)) is None


def test_the_same_text_to_the_same_person_settles_where_the_id_is_not_ours() -> None:
    assert settled(OWN_ID) == RECORD.uuid


def test_a_report_of_the_other_spelling_settles_a_message_to_the_written_one() -> None:
    record = replace(RECORD, recipient_phone="541123456789")
    sign = replace(OWN_ID, recipient_phone="5491123456789")
    assert settled(sign, record) == RECORD.uuid


@pytest.mark.parametrize(
    "sign",
    [
        replace(OWN_ID, text="hello!"),
        replace(OWN_ID, text=None),
        replace(OWN_ID, recipient_phone="62811801642"),
        replace(OWN_ID, recipient_phone=None),
        replace(OWN_ID, message_id=None),
    ],
)
def test_other_words_or_another_person_do_not(sign: DeliveryEvidence) -> None:
    assert settled(sign) is None


@pytest.mark.parametrize(("after_s", "settles"), [(-3, False), (-1, True), (0, True), (599, True), (601, False)])
def test_text_counts_from_the_sends_beginning_for_ten_minutes(after_s: float, settles: bool) -> None:
    assert (settled(OWN_ID, after_s=after_s) is not None) is settles


@pytest.mark.parametrize(
    ("sent_to", "reported"),
    [
        ("5215512345678", "525512345678"),
        ("525512345678", "5215512345678"),
        ("5511987654321", "551187654321"),
        ("54111523456789", "5491123456789"),
    ],
)
def test_a_person_reported_under_another_form_of_their_number_is_the_same(sent_to: str, reported: str) -> None:
    record = replace(RECORD, recipient_phone=sent_to)
    assert settled(replace(OWN_ID, recipient_phone=reported), record) == RECORD.uuid


HIDDEN = replace(OWN_ID, message_id="true_998877@lid_3EB0FF", recipient_phone=None, recipient_hidden=True)


def test_a_hidden_number_settles_the_one_send_that_it_can_be_of() -> None:
    other = replace(RECORD, uuid=made_at(BEGUN, 1), text="another", recipient_phone="62811801642")
    earlier = replace(RECORD, uuid=made_at(BEGUN - timedelta(hours=1)), created_at=BEGUN - timedelta(hours=1))
    assert settled(HIDDEN, RECORD, other, earlier) == RECORD.uuid


def test_a_hidden_number_settles_nothing_where_two_sends_fit_or_none() -> None:
    twin = replace(RECORD, uuid=made_at(BEGUN + timedelta(seconds=5)), recipient_phone="62811801642")
    assert settled(HIDDEN, RECORD, twin, after_s=6) is None
    assert settled(replace(HIDDEN, text="hello!"), RECORD) is None
    assert settled(HIDDEN, RECORD, after_s=601) is None
    assert settled(HIDDEN, RECORD, known_ids={HIDDEN.message_id}) is None


def test_an_outgoing_message_to_a_hidden_number_says_so() -> None:
    message = {"id": "true_998877@lid_3EB0FF", "to": "998877@lid", "body": "hello"}
    assert settling.sign_of("message_sent", S, {"message": message}) == HIDDEN
    group = settling.sign_of("message_sent", S, {"message": message | {"to": "1203630@g.us"}})
    assert group is not None
    assert (group.recipient_phone, group.recipient_hidden) == (None, False)
    assert settled(replace(HIDDEN, recipient_hidden=False)) is None


def test_an_event_of_a_message_that_is_accounted_for_settles_no_other() -> None:
    assert settled(OWN_ID, known_ids={OWN_ID.message_id}) is None


def test_of_two_sends_of_the_same_text_the_later_is_settled_and_only_that_one() -> None:
    later = replace(RECORD, uuid=made_at(BEGUN + timedelta(seconds=5)), message_id="3EB0BB")
    assert settled(OWN_ID, RECORD, later, after_s=6) == later.uuid
    assert settled(OWN_ID, RECORD, later, after_s=1) == RECORD.uuid


@pytest.mark.parametrize("state", [MessageState.SENT, MessageState.FAILED, MessageState.SENDING])
def test_what_is_not_unknown_is_left_alone(state: MessageState) -> None:
    record = replace(RECORD, state=state)
    assert settled(DeliveryEvidence("message_read", S, "3EB0AA", None, None), record) is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("message_sent", {"message_id": "3EB0AA"}),
        ("message_delivered", {"message_id": "3EB0AA"}),
        ("message_read", {"message": {"id": {"_serialized": "3EB0AA"}}}),
        ("message_status_updated", {"message_id": "3EB0AA", "status": "sent", "ack_level": 2}),
        ("message_status_updated", {"message_id": "3EB0AA", "ack_level": 3}),
        ("message_ack", {"message_id": "3EB0AA", "ack": 2}),
        ("message_received", {"message": {"id": "3EB0AA", "from_me": True, "to": "62811801641@c.us", "body": "hello"}}),
    ],
)
def test_these_tell_of_a_message_that_went_out(kind: str, data: dict[str, Any]) -> None:
    sign = settling.sign_of(kind, S, data)
    assert sign is not None
    assert sign.message_id == "3EB0AA"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("message_received", {"message": {"id": "3EB0AA", "from_me": False}}),
        ("message_received", {"message": {"id": "3EB0AA"}}),
        ("message_status_updated", {"message_id": "3EB0AA", "status": "pending", "ack_level": 1}),
        ("message_status_updated", {"message_id": "3EB0AA", "status": "failed", "ack_level": 3}),
        ("message_status_updated", {"message_id": "3EB0AA", "ack_level": 1}),
        ("typing_indicator", {"message_id": "3EB0AA"}),
    ],
)
def test_these_do_not(kind: str, data: dict[str, Any]) -> None:
    assert settling.sign_of(kind, S, data) is None


def test_a_message_reported_by_a_session_that_did_not_say_which_tells_nothing() -> None:
    assert settling.sign_of("message_sent", None, {"message_id": "3EB0AA"}) is None


@pytest.mark.parametrize(
    ("address", "phone"),
    [
        ("62811801641@c.us", "62811801641"),
        ("62811801641:12@s.whatsapp.net", "62811801641"),
        ("+62811801641", "62811801641"),
        ("1203630@g.us", None),
        ("998877@lid", None),
        (None, None),
        (62811, None),
    ],
)
def test_only_a_persons_address_is_a_number(address: object, phone: str | None) -> None:
    assert settling.phone_of(address) == phone


def test_a_record_with_any_other_uuid_began_when_it_was_made() -> None:
    assert settling.begun_at(replace(RECORD, uuid="0190-1")) == RECORD.created_at
    assert settling.begun_at(replace(RECORD, uuid=str(uuid.uuid4()))) == RECORD.created_at
    assert settling.begun_at(RECORD) == BEGUN

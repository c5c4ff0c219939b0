"""What the gateway is told, byte for byte, and that our own gateway understands it."""

import json
from datetime import UTC, datetime

import pytest

from homing.drivers.webjs import reports as signing
from homing.instance.notify.events import (
    CodeIssued,
    EventSubject,
    MessageReceived,
    MessageSent,
    SessionLeft,
    Status,
    StatusChanged,
)
from homing.instance.notify.notifications import Notification, headers, notification, signature
from homing.model.instances.events import Signed
from homing.ports.instances.reports import RawReport

ABOUT = EventSubject("s1", 7, 3)
AT = 1_795_000_000.25


def told(event):
    note = notification(event, AT, lambda: "fresh")
    return None if note is None else json.loads(note.body)


def test_the_signature_is_that_of_the_node_service():
    body = b'{"event":"session_ready","data":{"session_id":"s1"}}'
    expected = "8c76c9bdb984137c9f9d2598b26f560d2b0048950deeb3aa7693d4c4b6b0d711"
    assert signature(b"secret", "1795000000", body) == expected


def test_the_whole_body_of_a_ready_session():
    note = notification(StatusChanged(ABOUT, Status.CONNECTED, "62810", None), AT, lambda: "fresh")
    assert note == Notification(
        "fresh",
        "s1",
        AT,
        b'{"id":"fresh","event":"session_ready","data":{"workspace_id":7,"session_id":"s1","epoch":3,'
        b'"status":"connected","timestamp":1795000000.25,"phone_number":"62810"}}',
    )


@pytest.mark.parametrize(
    ("event", "word", "fields"),
    [
        (CodeIssued(ABOUT, "A1B2", 59.7), "qr_code_generated", {"qr_code": "A1B2", "expires_in": 59}),
        (StatusChanged(ABOUT, Status.AUTHENTICATED, None, None), "session_authenticated", {"status": "authenticated"}),
        (
            StatusChanged(ABOUT, Status.CONNECTED, "62810", None, reconnected=True),
            "session_reconnected",
            {"status": "connected", "phone_number": "62810"},
        ),
        (StatusChanged(ABOUT, Status.DISCONNECTED, None, "lost"), "session_disconnected", {"reason": "lost"}),
        (
            StatusChanged(ABOUT, Status.LOGGED_OUT, None, "device removed"),
            "session_disconnected",
            {"reason": "device removed", "status": "logged_out"},
        ),
        (
            StatusChanged(ABOUT, Status.ERROR, None, "replaced"),
            "session_error",
            {"error": "replaced", "message": "The session cannot go on: replaced"},
        ),
        (SessionLeft(ABOUT, 9), "session_disconnected", {"reason": "granted elsewhere at epoch 9", "current_epoch": 9}),
        (MessageSent(ABOUT, "3EB0", "62811"), "message_sent", {"message_id": "3EB0", "to": "62811@c.us"}),
    ],
)
def test_each_event_has_the_word_of_the_node_service(event, word, fields):
    body = told(event)
    assert (body["event"], body["data"]["session_id"], body["data"]["workspace_id"]) == (word, "s1", 7)
    assert body["data"]["epoch"] == 3
    assert fields.items() <= body["data"].items()


def test_a_received_message_looks_as_the_node_service_tells_it():
    at = "2026-11-18T11:06:40.000Z"
    body = told(MessageReceived(ABOUT, "3A01", "62899", "halo", at, "62810"))
    assert body["data"]["message"] == {
        "id": "3A01",
        "from": "62899@c.us",
        "to": "62810@c.us",
        "body": "halo",
        "timestamp": 1_795_000_000,
        "from_me": False,
        "type": "chat",
        "has_media": False,
        "chat_type": "private",
    }


def test_a_message_of_a_group_says_so():
    message = told(MessageReceived(ABOUT, "3A01", "120@g.us", "halo", "no time"))["data"]["message"]
    assert (message["from"], message["chat_type"], message["timestamp"]) == ("120@g.us", "group", int(AT))


def test_half_a_character_does_not_keep_a_message_back():
    assert told(MessageReceived(ABOUT, "3A01", "62899", "ha\ud83dlo", ""))["data"]["message"]["body"] == "ha?lo"


def test_waiting_for_a_phone_is_told_by_its_code_alone():
    assert told(StatusChanged(ABOUT, Status.QR_SCANNING, None, None)) is None


def test_what_whatsapp_may_offer_twice_has_the_same_id_both_times():
    def name(event):
        return notification(event, AT, lambda: "fresh").id

    first = MessageReceived(ABOUT, "3A01", "62899", "halo", "")
    assert name(first) == name(MessageReceived(EventSubject("s1", 7, 4), "3A01", "62899", "halo", ""))
    others = [
        MessageReceived(ABOUT, "3A02", "62899", "halo", ""),
        MessageReceived(EventSubject("s2", 7, 3), "3A01", "62899", "halo", ""),
        MessageSent(ABOUT, "3A01", "62899"),
        MessageSent(ABOUT, "3A01", "62898"),
    ]
    assert len({name(first), *map(name, others)}) == 5


def test_our_gateway_believes_and_reads_it():
    note = notification(MessageSent(ABOUT, "3EB0", "62811"), AT, lambda: "fresh")
    sent = headers(note, b"secret", "http://one", AT)
    now = datetime.fromtimestamp(AT + 20, UTC)
    judged = signing.judge(b"secret", sent["X-Timestamp"], sent["X-HMAC-Signature"], note.body, now)
    assert isinstance(judged, Signed)
    report = signing.report_in(RawReport(note.body, {signing.EVENT_ID: sent["X-Homing-Event-Id"]}))
    assert (report.kind, report.session_id, report.sender_id) == ("message_sent", "s1", note.id)
    assert report.occurred_at == datetime.fromtimestamp(AT, UTC)
    assert sent["X-Instance-Url"] == "http://one"

"""Which reports tell of one and the same occurrence."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.reports import meanings
from homing.drivers.webjs.reports import report_in
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import Report
from homing.ports.instances.reports import RawReport

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001")
S = "webjs_1_a"
ID = "true_628111@c.us_3EB0AA"
GROUP_ID = "true_1203@g.us_3EB0AA_628111@c.us"


def read(body: Any, url: InstanceUrl = A) -> Report:
    return replace(report_in(RawReport(json.dumps(body).encode())), instance_url=url)


def told(kind: str, **data: Any) -> Report:
    return read({"event": kind, "data": {"workspace_id": 1, "session_id": S, **data}})


def key(report: Report) -> str:
    return meanings.meaning(report).key


def stored(*reports: Report) -> int:
    """How many of these reports, one soon after the other, are events; as the store counts them."""
    standing: set[str] = set()
    count = 0
    for report in reports:
        meaning = meanings.meaning(report)
        if meaning.key in standing:
            continue
        standing = {known for known in standing if not meaning.ends or not known.startswith(meaning.ends)}
        standing.add(meaning.key)
        count += 1
    return count


def reaction(emoji: str, by: str = "62811@c.us", **more: Any) -> Report:
    return told("message_reaction", message_id=ID, reaction=emoji, senderId=by, **more)


def edit(body: str, **more: Any) -> Report:
    return told("message_edited", message={"id": ID, "body": body, "timestamp": 1796001549}, **more)


def level(kind: str = "message_status_updated", **more: Any) -> Report:
    return told(kind, **{"message_id": ID, "status": "read", "ack_level": 4, "timestamp": 1796001549, **more})


MESSAGE = {"id": ID, "from": "62811@c.us", "body": "hi", "timestamp": 1796001549}

DISTINCT = [
    ("a second edit", edit("one"), edit("two")),
    ("an edit at another time", edit("one", edited_at=1), edit("one", edited_at=2)),
    ("another emoji", reaction("👍"), reaction("❤")),
    ("a reaction that was removed", reaction("👍"), reaction("")),
    ("another person's reaction", reaction("👍"), reaction("👍", by="62812@c.us")),
    ("another level", level(ack_level=3, status="delivered"), level()),
    ("another reader in a group", level(participant="62811@c.us"), level(participant="62812@c.us")),
    (
        "another reader by another name",
        level("message_read", reader="62811@c.us"),
        level("message_read", reader="62812"),
    ),
    ("another recipient", level("message_delivered", recipient="62811"), level("message_delivered", recipient="62812")),
    ("another device", level(device=1), level(device=2)),
    ("a reader one level down", level(message={"participant": "a"}), level(message={"participant": "b"})),
    (
        "another vote",
        told("poll_vote", message_id=ID, voter="a", selected=["x"]),
        told("poll_vote", message_id=ID, voter="a", selected=["y"]),
    ),
    ("another voter", told("poll_vote", message_id=ID, voter="a"), told("poll_vote", message_id=ID, voter="b")),
    (
        "another call",
        told("incoming_call", id="c1", **{"from": "62811"}),
        told("incoming_call", id="c2", **{"from": "62811"}),
    ),
    ("a call that went on", told("call", id="c1", status="ringing"), told("call", id="c1", status="ended")),
    (
        "a deletion for everybody",
        told("message_revoked", message_id=ID, everyone=False),
        told("message_revoked", message_id=ID, everyone=True),
    ),
    (
        "another message",
        told("message_received", message=MESSAGE),
        told("message_received", message={**MESSAGE, "id": "x"}),
    ),
    ("another code", told("qr_code_generated", qr_code="1"), told("qr_code_generated", qr_code="2")),
    (
        "another session",
        told("message_received", message=MESSAGE),
        replace(told("message_received", message=MESSAGE), session_id=SessionId("b")),
    ),
]

SAME = [
    (
        "a message that arrived",
        told("message_received", message=MESSAGE),
        told("message_received", message={**MESSAGE, "ack": 2}),
    ),
    (
        "a message with its media later",
        told("message_received", message=MESSAGE),
        told("message_received", message={**MESSAGE, "media": {"data": "…"}}),
    ),
    (
        "a message from the next instance",
        told("message_received", message=MESSAGE),
        replace(told("message_received", message=MESSAGE), instance_url=B),
    ),
    (
        "a message that went out",
        told("message_sent", message={**MESSAGE, "status": "pending"}),
        told("message_sent", message={**MESSAGE, "status": "sent"}),
    ),
    ("a level told later", level(), level(timestamp=1796009999)),
    ("a level from the next instance", level(), replace(level(), instance_url=B)),
    ("an edit from the next instance", edit("one"), replace(edit("one"), instance_url=B)),
    ("fields in another order", edit("one"), replace(edit("one"), data=dict(reversed(edit("one").data.items())))),
]


@pytest.mark.parametrize(("what", "one", "other"), DISTINCT, ids=[row[0] for row in DISTINCT])
def test_another_occurrence_is_another_event(what: str, one: Report, other: Report) -> None:
    assert key(one) != key(other)
    assert stored(one, other) == stored(other, one) == 2


@pytest.mark.parametrize(("what", "one", "other"), SAME, ids=[row[0] for row in SAME])
def test_what_can_happen_once_is_one_event_however_it_is_told(what: str, one: Report, other: Report) -> None:
    assert key(one) == key(other)
    assert stored(one, other, one) == 1


@pytest.mark.parametrize("flip", [reaction, edit], ids=["reaction", "edit"])
def test_what_is_undone_and_done_again_is_three_events(flip: Any) -> None:
    assert stored(flip("x"), flip(""), flip("x")) == 3


def test_one_persons_news_leaves_anothers_retry_a_retry() -> None:
    assert stored(reaction("👍", by="a"), reaction("❤", by="b"), reaction("👍", by="a")) == 2


def test_the_retry_of_an_older_code_is_no_newer_code() -> None:
    assert stored(*(told("qr_code_generated", qr_code=code) for code in ("1", "2", "1"))) == 2
    assert meanings.meaning(told("qr_code_generated", qr_code="1")).window_s == meanings.NAMED_WITHIN_S


def test_a_session_that_is_ready_is_ready_once_until_it_was_lost() -> None:
    ready, lost = told("session_ready", phone_number="62811"), told("session_disconnected", reason="NAVIGATION")
    assert stored(ready, ready) == 1
    assert stored(ready, lost, ready, ready) == 3


def test_what_is_kept_of_a_message_is_recognised_for_days_and_what_names_nothing_for_a_minute() -> None:
    assert meanings.meaning(edit("one")).window_s == meanings.meaning(level()).window_s == meanings.NAMED_WITHIN_S
    assert meanings.meaning(told("moon_phase", phase="new")).window_s == meanings.REPEATED_WITHIN_S


KINDS = st.sampled_from(
    ["message_received", "message_sent", "message_status_updated", "message_reaction", "message_edited", "poll_vote",
     "incoming_call", "session_ready", "qr_code_generated", "moon_phase", "message.ack"]
)  # fmt: skip
MAKES_IT = {
    "message_received": ("message_id",),
    "message_sent": ("message_id",),
    "message_status_updated": ("message_id", "ack_level", "participant", "device"),
    "message.ack": ("message_id", "ack_level", "participant", "device"),
    "message_reaction": ("message_id", "reaction", "senderId", "timestamp"),
    "message_edited": ("message_id", "body", "edited_at", "author"),
    "poll_vote": ("message_id", "voter", "selected"),
    "incoming_call": ("id", "from", "status"),
    "session_ready": ("phone_number",),
    "qr_code_generated": ("qr_code",),
    "moon_phase": ("phase",),
}
"""What makes an occurrence of each kind."""


@given(
    KINDS, st.dictionaries(st.text(min_size=1, max_size=6), st.integers() | st.text(max_size=8), max_size=4), st.data()
)
def test_a_report_is_the_same_if_repeated_and_another_if_what_makes_it_differs(
    kind: str, more: dict[str, Any], data: st.DataObject
) -> None:
    said = {**more, **{name: f"{name}-1" for name in MAKES_IT[kind]}}
    one = told(kind, **said)
    assert stored(one, told(kind, **said)) == 1
    changed = data.draw(st.sampled_from(MAKES_IT[kind]))
    assert stored(one, told(kind, **{**said, changed: f"{changed}-2"})) == 2

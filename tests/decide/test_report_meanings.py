"""What a report says, whether it is the same as another, and how much of it is kept."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.reports import meanings
from homing.drivers.webjs.reports import EVENT_ID, report_in
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import Report
from homing.model.instances.report_body import Malformed
from homing.ports.instances.reports import RawReport

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001")
S = SessionId("webjs_1_a")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inside: st.lists(inside, max_size=5) | st.dictionaries(st.text(max_size=10), inside, max_size=5),
    max_leaves=30,
)


def read(body: Any, *, header_id: str | None = None) -> Report:
    named = {EVENT_ID: header_id} if header_id is not None else {}
    return replace(report_in(RawReport(json.dumps(body).encode(), named)), instance_url=A)


def test_an_envelope_and_a_flat_body_say_the_same() -> None:
    inside = {"workspace_id": 1, "session_id": S, "status": "connected"}
    envelope = read({"event": "session_status_changed", "data": inside})
    flat = read({"event": "session_status_changed", **inside})
    assert envelope == flat == Report("session_status_changed", inside, S, A)


def test_a_session_named_beside_the_data_is_found() -> None:
    assert read({"event": "session_ready", "session_id": S, "data": {}}).session_id == S


def test_words_nobody_knows_are_taken_all_the_same() -> None:
    assert read({"event": "moon_phase", "data": {"phase": "new"}}) == Report("moon_phase", {"phase": "new"}, None, A)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"event": 1}',
        b'{"event": ""}',
        b'{"data": {}}',
        b'{"event": "x", "data": []}',
        b'{"event": "x", "data": null}',
        b'{"event": "x", "n": NaN}',
        b'{"event": "x", "n": ' + b"9" * 5000 + b"}",
        b'{"event": "x", "n": ' + b"[" * 100 + b"]" * 100 + b"}",
        b"[" * 100_000,
        b'{"event": "' + b"x" * 101 + b'"}',
    ],
)
def test_what_is_no_report_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Malformed):
        report_in(RawReport(raw))


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_a_report_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        report_in(RawReport(raw))


@pytest.mark.parametrize(
    ("given_at", "at"),
    [
        (1767268800, datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("1767268800", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        (1767268800123, datetime(2026, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)),
        ("2026-01-01T12:00:00Z", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01T19:00:00+07:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("yesterday", None),
        (-5, None),
        (1e300, None),
        (True, None),
        ({}, None),
    ],
)
def test_times_are_read_as_gateways_write_them(given_at: object, at: datetime | None) -> None:
    assert read({"event": "x", "data": {"timestamp": given_at}}).occurred_at == at


# --- sameness ---


READY = Report("session_ready", {"session_id": S, "phone_number": "62811"}, S, A)


def same(one: Report, other: Report) -> bool:
    return meanings.meaning(one).key == meanings.meaning(other).key


def test_a_retry_says_the_same_for_a_minute_whatever_the_order_of_its_fields() -> None:
    again = replace(READY, data=dict(reversed(READY.data.items())))
    assert same(READY, again)
    assert meanings.meaning(READY).window_s == 60


@pytest.mark.parametrize(
    "other",
    [
        replace(READY, kind="session_error"),
        replace(READY, data={**READY.data, "phone_number": "62812"}),
        replace(READY, instance_url=B),
        replace(READY, instance_url=None),
        replace(READY, session_id=SessionId("other")),
    ],
)
def test_another_kind_place_session_or_word_is_another_event(other: Report) -> None:
    assert not same(READY, other)


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ({"event": "session_ready", "id": "evt_1", "data": {}}, None),
        ({"event": "session_ready", "event_id": "evt_1", "n": 1}, None),
        ({"event": "session_ready", "data": {"n": 2}}, "evt_1"),
    ],
)
def test_a_senders_own_id_decides_for_days(body: dict[str, Any], header: str | None) -> None:
    report = read(body, header_id=header)
    assert report.sender_id == "evt_1"
    assert same(report, replace(report, data={"attempt": 3}))
    assert meanings.meaning(report).window_s > 2 * 86_400


def test_an_id_means_the_same_of_a_session_from_whichever_instance() -> None:
    named = replace(READY, sender_id="evt_1")
    assert same(named, replace(named, instance_url=B))
    assert not same(named, replace(named, session_id=SessionId("other")))
    nameless = replace(named, session_id=None)
    assert not same(nameless, replace(nameless, instance_url=B))


def test_the_id_in_a_flat_body_is_that_of_something_else() -> None:
    assert read({"event": "message_status_updated", "id": "3EB0AA", "status": "read"}).sender_id is None


def message(kind: str = "message_received", id: object = "3EB0AA", **data: Any) -> Report:
    return Report(kind, {"message": {"id": id, "body": "hi"}, **data}, S, A)


def test_a_message_is_the_same_from_whichever_instance_and_however_told() -> None:
    assert same(message(), replace(message(n=1), instance_url=B))
    assert same(message(), message(id={"_serialized": "3EB0AA", "fromMe": False}))
    assert not same(message(), message(id="3EB0AB"))
    assert not same(message(), message("message_sent"))
    assert meanings.meaning(message()).window_s > 2 * 86_400


def test_a_message_that_got_further_is_news() -> None:
    told = [
        Report("message_status_updated", {"message_id": "3EB0AA", "status": status, "ack_level": level}, S, A)
        for status, level in (("sent", 2), ("delivered", 3), ("read", 4))
    ]
    assert len({meanings.meaning(report).key for report in told}) == 3
    assert same(told[0], replace(told[0]))


def test_only_news_of_a_session_ends_what_was_said_of_it() -> None:
    ends = meanings.meaning(READY).ends
    assert ends
    assert meanings.meaning(READY).key.startswith(ends)
    assert not meanings.meaning(replace(READY, sender_id="evt_1")).key.startswith(ends)
    assert meanings.meaning(message()).ends == ""


# --- keeping ---


@given(st.dictionaries(st.text(max_size=10), JSON, max_size=5))
def test_what_is_short_is_kept_as_it_is(data: dict[str, Any]) -> None:
    small = all(abs(n) <= 2**63 - 1 for n in _integers(data))
    assert not small or meanings.bounded(data) == data


LONG = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=3), st.integers(1, 16_000))


@given(st.dictionaries(st.text(max_size=10), JSON | LONG, max_size=8))
def test_what_is_kept_has_a_limit(data: dict[str, Any]) -> None:
    assert len(json.dumps(meanings.bounded(data))) <= 70_000


def test_media_is_cut_and_the_rest_of_its_message_kept() -> None:
    kept = meanings.bounded({"message": {"id": "1", "media": {"data": "A" * 5_000_000, "mimetype": "image/jpeg"}}})
    assert kept["message"]["id"] == "1"
    assert kept["message"]["media"]["mimetype"] == "image/jpeg"
    assert kept["message"]["media"]["data"].endswith("… (5000000 characters)")


def test_too_much_of_everything_keeps_what_is_plain() -> None:
    kept = meanings.bounded({"session_id": S, "many": ["x" * 10_000] * 100})
    assert set(kept) == {"session_id", "left_out"}


def test_half_a_character_and_a_huge_number_do_no_harm() -> None:
    assert meanings.bounded({"a\ud800": ["\ud800", 10**30]}) == {"a?": ["?", str(10**30)]}


def _integers(value: Any) -> list[int]:
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return [n for each in inside for n in _integers(each)]
    return [value] if isinstance(value, int) else []

"""What each answer of a webjs service means, whatever is in it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homing.drivers import reading
from homing.drivers.http.wire import Reply
from homing.drivers.webjs import answers, sessions
from homing.model.fleet import Capabilities, Epoch, InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, PairingCode

AT = InstanceUrl("http://localhost:3001")
BASE = Capabilities(stop_keeps_login=True)
NOT_CONNECTED = "Session not connected. Please check session status."


def reply(said: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, said if isinstance(said, bytes) else json.dumps(said).encode())


PHASES: list[tuple[int, Any, Phase]] = [
    (400, {"error": NOT_CONNECTED}, Phase.SESSION_NOT_READY),
    (400, {"error": NOT_CONNECTED, "status": "disconnected"}, Phase.SESSION_NOT_READY),
    (400, {"error": NOT_CONNECTED, "status": "logged_out"}, Phase.SESSION_LOGGED_OUT),
    (400, {"error": NOT_CONNECTED, "status": "qr_scanning"}, Phase.SESSION_NOT_READY),
    (400, {"error": "Missing required fields"}, Phase.REQUEST_REJECTED),
    (400, {"error": "Invalid phone number format"}, Phase.REQUEST_REJECTED),
    (400, {"error": "recipient restricted", "code": 463}, Phase.RECIPIENT_RESTRICTED),
    (500, {"error": "failed", "code": 463}, Phase.RECIPIENT_RESTRICTED),
    (400, {"error": "WhatsApp refused the message", "code": 400}, Phase.REQUEST_REJECTED),
    (400, b"<html>Bad Request</html>", Phase.MISDIRECTED),
    (422, b"", Phase.MISDIRECTED),
    (401, {"error": "Invalid API key"}, Phase.UNAUTHORISED),
    (403, b"Forbidden", Phase.UNAUTHORISED),
    (404, {"error": "Session not found"}, Phase.SESSION_NOT_FOUND),
    (404, {"error": "Endpoint not found"}, Phase.PATH_NOT_FOUND),
    (404, b"404 page not found", Phase.PATH_NOT_FOUND),
    (404, b"Session not found", Phase.PATH_NOT_FOUND),
    (404, {}, Phase.PATH_NOT_FOUND),
    (405, {"error": "Method not allowed"}, Phase.PATH_NOT_FOUND),
    (408, {"error": "Request timeout"}, Phase.GATEWAY_TIMED_OUT),
    (409, {"error": "stale epoch", "epoch": 7}, Phase.EPOCH_STALE),
    (409, {"error": "conflict"}, Phase.REQUEST_REJECTED),
    (409, {"error": "stale epoch", "epoch": True}, Phase.REQUEST_REJECTED),
    (413, b"<pre>PayloadTooLargeError</pre>", Phase.REQUEST_REJECTED),
    (422, {"error": "Session is not ready"}, Phase.SESSION_NOT_READY),
    (422, {"error": "message is too long"}, Phase.REQUEST_REJECTED),
    (429, {"error": "Too many"}, Phase.THROTTLED),
    (500, {"error": "Evaluation failed: t"}, Phase.SERVER_ERROR),
    (500, {"error": "Session not found"}, Phase.SESSION_NOT_FOUND),
    (500, {"error": "Session not connected"}, Phase.SESSION_NOT_READY),
    (500, b"Session not connected", Phase.SERVER_ERROR),
    (501, {}, Phase.SERVER_ERROR),
    (502, b"", Phase.BAD_GATEWAY),
    (503, b"", Phase.UNAVAILABLE),
    (504, {"error": "Session not found"}, Phase.GATEWAY_TIMED_OUT),
    (599, b"", Phase.SERVER_ERROR),
    (201, {"success": True, "message_id": "x"}, Phase.REPLY_MALFORMED),
    (204, b"", Phase.REPLY_MALFORMED),
    (206, b"", Phase.REPLY_MALFORMED),
    *((status, b"", Phase.MISDIRECTED) for status in (300, 301, 302, 303, 304, 307, 308)),
    *((status, b"<html>Log in</html>", Phase.MISDIRECTED) for status in (302, 407, 421, 511)),
    (500, {"error": "Evaluation failed: Error: No LID for user"}, Phase.REQUEST_REJECTED),
    (500, {"error": "Evaluation failed: Error: wid error: invalid wid"}, Phase.REQUEST_REJECTED),
    (500, {"error": "wid error: no such server"}, Phase.REQUEST_REJECTED),
    (500, b"No LID for user", Phase.SERVER_ERROR),
    (502, {"error": "No LID for user"}, Phase.BAD_GATEWAY),
    (500, {"error": "Lid is missing in chat table"}, Phase.SERVER_ERROR),
    (500, {"error": "Cannot read properties of undefined (reading 'serialize')"}, Phase.SERVER_ERROR),
]


@pytest.mark.parametrize(("status", "said", "phase"), PHASES, ids=[f"{row[0]} {str(row[1])[:40]}" for row in PHASES])
def test_an_answer_other_than_200_is_this_fault(status: int, said: Any, phase: Phase) -> None:
    fault = answers.fault_of(reply(said, status))
    assert (fault.phase, fault.status) == (phase, status)


def test_a_redirect_says_where_it_leads_and_shows_no_key() -> None:
    fault = answers.fault_of(reply(b"", 302, location="https://login.example/?api_key=s3cret&next=/x"), ("s3cret",))
    assert fault.detail == "it answered with a redirect to https://login.example"


def test_a_web_page_in_place_of_a_receipt_is_called_one() -> None:
    ended = answers.receipt_of(reply(b"\n<!DOCTYPE html><title>Log in</title>"))
    assert isinstance(ended, Fault)
    assert (ended.phase, "a web page" in ended.detail) == (Phase.REPLY_MALFORMED, True)


def test_a_stale_epoch_carries_the_instances_own() -> None:
    assert answers.fault_of(reply({"error": "stale epoch", "epoch": 7}, 409)).epoch == Epoch(7)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry_after": "12"}, 12.0),
        ({"retry_after": "999999999"}, 86_400.0),
        ({"retry_after": "Tue, 24 Nov 2026 07:00:30 GMT", "date": "Tue, 24 Nov 2026 07:00:00 GMT"}, 30.0),
        ({"retry_after": "Tue, 24 Nov 2026 06:00:00 GMT", "date": "Tue, 24 Nov 2026 07:00:00 GMT"}, 0.0),
        ({"retry_after": "Tue, 24 Nov 2026 07:00:30 GMT"}, None),
        ({"retry_after": "Tue, 24 Nov 2026 07:00:30", "date": "Tue, 24 Nov 2026 07:00:00 GMT"}, None),
        ({"retry_after": "soon", "date": "never"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_as_the_answer_says(headers: dict[str, str], wait_s: float | None) -> None:
    assert answers.fault_of(reply({}, 429, **headers)).retry_after_s == wait_s
    assert answers.fault_of(reply({}, 503, **headers)).retry_after_s == wait_s


def test_what_is_not_json_is_quoted_as_it_is() -> None:
    assert answers.fault_of(reply(b"<h1>502 Bad\n Gateway</h1>", 502)).detail == "<h1>502 Bad Gateway</h1>"


def test_a_gateways_own_words_are_for_the_log_and_its_category_for_others() -> None:
    fault = answers.fault_of(reply({"error": "root:x:0:0"}, 500))
    assert str(fault) == "500 server error (root:x:0:0)"
    assert fault.category == "500 server error"
    elsewhere = answers.fault_of(reply(b"", 302, location="https://login.example/secret"))
    assert elsewhere.category == "302 misdirected (it answered with a redirect to https://login.example)"


def test_a_detail_is_short_and_on_one_line() -> None:
    detail = answers.fault_of(reply({"error": "a\r\nb\x00\x1b[31m" + "x" * 500}, 500)).detail
    assert detail.startswith("a b [31m")
    assert len(detail) == 200


@pytest.mark.parametrize(
    "said",
    [
        {"success": False, "error": "Session not found"},
        {"message_id": "x", "timestamp": 1},
        {"success": "true", "message_id": "x"},
        {"success": True},
        {"success": True, "message_id": ""},
        {"success": True, "message_id": "  "},
        {"success": True, "message_id": 7},
        {"success": True, "message_id": None},
        [],
        None,
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_200_that_is_no_receipt_leaves_open_whether_the_message_left(said: Any) -> None:
    ended = answers.receipt_of(reply(said))
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.REPLY_MALFORMED


@pytest.mark.parametrize(
    ("timestamp", "unix_s"),
    [
        (1764000000, 1764000000),
        ("1764000000", 1764000000),
        (1764000000123, 1764000000),
        (1764000000.9, 1764000000),
        (None, 0),
        ("soon", 0),
        (-5, 0),
        ([], 0),
        (10**30, 0),
        ("1e999", 0),
        ("nan", 0),
    ],
)
def test_a_receipts_time_is_in_unix_seconds_or_zero(timestamp: Any, unix_s: int) -> None:
    said = {"success": True, "message_id": "true_628@c.us_3EB0", "timestamp": timestamp}
    assert answers.receipt_of(reply(said)) == Receipt("true_628@c.us_3EB0", unix_s)


def listed(*rows: Any) -> SessionList:
    found = sessions.sessions_of(AT, reply({"success": True, "sessions": list(rows), "total": len(rows)}))
    assert isinstance(found, SessionList)
    return found


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("connected", SessionStatus.CONNECTED),
        ("authenticated", SessionStatus.STARTING),
        ("initializing", SessionStatus.STARTING),
        (None, SessionStatus.STARTING),
        ("qr_scanning", SessionStatus.PAIRING),
        ("disconnected", SessionStatus.DISCONNECTED),
        ("logged_out", SessionStatus.LOGGED_OUT),
        ("error", SessionStatus.FAILED),
        ("CONNECTED", SessionStatus.CONNECTED),
    ],
)
def test_each_status_word_has_its_meaning(said: str | None, status: SessionStatus) -> None:
    found = listed({"session_id": "a", "status": said})
    assert found.sessions[SessionId("a")].status is status
    assert found.oddities == ()


@pytest.mark.parametrize("said", ["sleeping", 7, True, ["connected"]])
def test_a_status_nobody_knows_is_unknown_and_told(said: Any) -> None:
    found = listed({"session_id": "a", "status": said})
    assert found.sessions[SessionId("a")].status is SessionStatus.UNKNOWN
    assert "session a has a status that is not known" in found.oddities[0]


def test_rows_that_name_no_session_are_told_and_do_not_hide_the_others() -> None:
    found = listed(None, 7, {}, {"session_id": None}, {"session_id": 7}, {"session_id": ""}, {"session_id": "a"})
    assert list(found.sessions) == ["a"]
    assert found.oddities == tuple(f"row {number} names no session" for number in range(1, 7))


def test_of_a_session_listed_twice_the_row_that_can_send_is_kept() -> None:
    up, down = {"session_id": "a", "status": "connected"}, {"session_id": "a", "status": "disconnected"}
    for rows in ((up, down), (down, up)):
        found = listed(*rows)
        assert found.sessions[SessionId("a")].can_send
        assert found.oddities == ("session a is listed more than once",)


def test_a_rows_epoch_and_phone_are_taken_where_they_make_sense() -> None:
    found = listed(
        {"session_id": "a", "status": "connected", "epoch": 7, "phone_number": "62816"},
        {"session_id": "b", "status": "connected", "epoch": "7", "phone_number": 62817},
    )
    assert found.sessions[SessionId("a")] == ListedSession(SessionId("a"), SessionStatus.CONNECTED, "62816", Epoch(7))
    assert found.sessions[SessionId("b")] == ListedSession(SessionId("b"), SessionStatus.UNKNOWN, "62817", None)
    assert "session b has an epoch that cannot be: '7'" in found.oddities[0]


def test_how_long_a_session_is_idle_is_told_by_the_instances_own_clock() -> None:
    rows = [
        {"session_id": "a", "status": "connected", "last_activity": "2026-01-01T12:00:00.500Z"},
        {"session_id": "b", "status": "connected", "last_activity": "2026-01-01T13:00:00.000Z"},
        {"session_id": "c", "status": "connected", "last_activity": None},
        {"session_id": "d", "status": "connected", "last_activity": "yesterday"},
    ]
    said = {"success": True, "sessions": rows, "timestamp": "2026-01-01T12:00:10.000Z"}
    found = sessions.sessions_of(AT, reply(said))
    assert isinstance(found, SessionList)
    assert [row.idle_s for row in found.sessions.values()] == [9.5, 0.0, None, None]
    unclocked = listed(*rows)
    assert [row.idle_s for row in unclocked.sessions.values()] == [None] * 4


def test_of_many_sessions_started_together_each_has_its_own_answer() -> None:
    said = {
        "success": False,
        "sessions": [
            {"success": True, "session_id": "a", "status": "connected", "epoch": 4},
            {"success": False, "session_id": "b", "status": "disconnected", "epoch": 4, "error": "cannot connect"},
            {"success": False, "session_id": "c", "error": "stale epoch", "epoch": 9},
            {"success": False, "session_id": "d", "error": "This instance holds as many sessions as it may"},
            {"success": True, "session_id": "not-asked-for", "status": "connected"},
            None,
        ],
    }
    a, b, c, d, e = (SessionId(name) for name in "abcde")
    told = sessions.started_of(reply(said), [a, b, c, d, e])
    assert isinstance(told, dict)
    assert told[a] == ListedSession(a, SessionStatus.CONNECTED, None, Epoch(4))
    assert told[b] == ListedSession(b, SessionStatus.DISCONNECTED, None, Epoch(4), error="cannot connect")
    assert told[c] == Fault(Phase.EPOCH_STALE, "stale epoch", 409, epoch=Epoch(9))
    assert [told[name].phase for name in (d, e)] == [Phase.UNAVAILABLE, Phase.REPLY_MALFORMED]
    assert list(told) == [a, b, c, d, e]


def test_oddities_are_bounded() -> None:
    found = listed(*[None] * 1_000)
    assert len(found.oddities) == reading.ODDITIES_SHOWN + 1
    assert found.oddities[-1] == "980 more rows were odd"


@pytest.mark.parametrize(
    "said", [{}, [], {"sessions": {}}, {"sessions": None}, {"success": False, "sessions": []}, b""]
)
def test_what_is_no_list_proves_nothing(said: Any) -> None:
    ended = sessions.sessions_of(AT, reply(said))
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.REPLY_MALFORMED


def test_an_answer_about_another_session_is_not_taken() -> None:
    ended = sessions.one_session_of(reply({"session_id": "b", "status": "connected"}), SessionId("a"))
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.REPLY_MALFORMED


def test_a_session_that_was_opened_and_did_not_come_up_is_answered_with_its_status() -> None:
    said = {"success": False, "session_id": "a", "status": "disconnected", "epoch": 3}
    assert sessions.one_session_of(reply(said), SessionId("a")) == ListedSession(
        SessionId("a"), SessionStatus.DISCONNECTED, None, Epoch(3)
    )


def test_a_pairing_code_is_taken_as_it_is_told() -> None:
    said = {"qr_code": "2@abc", "pairing_code": "ABCD-1234", "expires_in": 60}
    assert answers.pairing_of(reply(said)) == PairingCode("2@abc", "ABCD-1234", 60)


def test_capabilities_are_the_declared_ones_over_the_familys() -> None:
    said = {
        "status": "healthy",
        "engine": "simulated",
        "version": "0.1.0",
        "incarnation": "b007",
        "lease": {"state": "paused", "left_s": 0},
        "sends_per_s": 12.5,
        "memory": {"used": 61, "total": 70, "unit": "MB"},
        "capabilities": {
            "choose_message_id": True,
            "honour_epoch": True,
            "hold_lease": "yes",
            "share_credentials": 1,
            "fly": True,
        },
    }
    assert answers.health_of(reply(said), BASE) == InstanceHealth(
        Capabilities(choose_message_id=True, honour_epoch=True, stop_keeps_login=True),
        incarnation="b007",
        engine="simulated",
        version="0.1.0",
        memory_used_mb=61.0,
        sends_per_s=12.5,
        paused=True,
    )
    said["capabilities"] = {"stop_keeps_login": False}
    declared = answers.health_of(reply(said), BASE)
    assert isinstance(declared, InstanceHealth)
    assert declared.capabilities == Capabilities()


@pytest.mark.parametrize("said", [[], {}, {"status": 1}, b"OK"])
def test_what_is_no_health_declares_nothing(said: Any) -> None:
    ended = answers.health_of(reply(said), BASE)
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.REPLY_MALFORMED


NAMES = st.sampled_from([
    "success", "message_id", "timestamp", "sessions", "session_id", "status", "phone_number", "epoch", "error", "code",
    "qr_code", "pairing_code", "expires_in", "capabilities", "memory", "used", "total", "connected", "incarnation",
    "lease", "state", "sends_per_s", "last_activity",
])  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["connected", "", "a"])
)
SAID = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=12
)


@settings(max_examples=300)
@given(said=SAID | st.binary(max_size=40), status=st.integers(100, 599), headers=st.dictionaries(
    st.sampled_from(["retry-after", "date"]), st.text(max_size=30), max_size=2
))  # fmt: skip
def test_no_answer_makes_a_driver_raise(said: Any, status: int, headers: dict[str, str]) -> None:
    got = Reply(status, headers, said if isinstance(said, bytes) else json.dumps(said).encode())
    assert isinstance(answers.fault_of(got, ("key",)), Fault)
    assert isinstance(answers.receipt_of(got, ("key",)), Receipt | Fault)
    assert isinstance(sessions.sessions_of(AT, got), SessionList | Fault)
    assert isinstance(sessions.one_session_of(got, SessionId("a")), ListedSession | Fault)
    assert isinstance(sessions.started_of(got, [SessionId("a")]), dict | Fault)
    assert isinstance(answers.pairing_of(got), PairingCode | Fault)
    assert isinstance(answers.health_of(got, BASE), InstanceHealth | Fault)
    assert isinstance(answers.health_of(got, BASE), InstanceHealth | Fault)

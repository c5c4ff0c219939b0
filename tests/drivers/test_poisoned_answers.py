"""What an instance answers is taken within bounds, and one bad row harms one session."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homing.drivers import reading
from homing.drivers.http.wire import Reply
from homing.drivers.webjs import answers, sessions
from homing.model.fleet import (
    EPOCH_MAX,
    Capabilities,
    InstanceUrl,
    ListedSession,
    SessionId,
    SessionList,
    SessionStatus,
)
from homing.model.sends.faults import Fault, Phase

AT = InstanceUrl("http://localhost:3001")
GOOD = {"session_id": "good", "status": "connected", "epoch": 7, "phone_number": "62816"}
TOO_DEEP = "[" * 300 + "]" * 300

OTHER_EPOCHS = [
    "9223372036854775808",
    "9223372036854775807",
    "9" * 5_000,
    "1e400",
    "-1",
    "1.5",
    "true",
    '"7"',
    TOO_DEEP,
]


def reply(said: Any, status: int = 200) -> Reply:
    return Reply(status, {}, said if isinstance(said, bytes) else json.dumps(said).encode())


def listed(*rows: str) -> SessionList:
    body = f'{{"success": true, "sessions": [{", ".join([json.dumps(GOOD), *rows])}]}}'.encode()
    found = sessions.sessions_of(AT, Reply(200, {}, body))
    assert isinstance(found, SessionList), found
    return found


@pytest.mark.parametrize("epoch", OTHER_EPOCHS, ids=lambda epoch: epoch[:20])
def test_an_epoch_that_cannot_be_harms_its_own_row_only(epoch: str) -> None:
    found = listed(f'{{"session_id": "bad", "status": "connected", "epoch": {epoch}}}')
    assert found.sessions[SessionId("good")].epoch == 7
    assert found.sessions[SessionId("bad")].epoch is None
    assert not found.sessions[SessionId("bad")].can_send
    assert all(len(oddity) < 300 for oddity in found.oddities)


def test_the_largest_epoch_is_taken_and_the_next_one_is_not() -> None:
    rows = [f'{{"session_id": "{n}", "status": "connected", "epoch": {EPOCH_MAX + n}}}' for n in range(2)]
    found = listed(*rows)
    assert found.sessions[SessionId("0")].epoch == EPOCH_MAX
    assert found.sessions[SessionId("1")].epoch is None


@pytest.mark.parametrize(
    "said",
    ['"\\u0000"', '"a\\u0000b"', '"\\ud83d"', '"line\\nbreak"', f'"{"s" * 201}"', "7", "null", "{}", TOO_DEEP],
    ids=lambda said: said[:20],
)
def test_an_id_that_no_session_can_have_names_none(said: str) -> None:
    found = listed(f'{{"session_id": {said}, "status": "connected"}}')
    assert list(found.sessions) == ["good"]
    assert found.oddities == ("row 2 names no session",)


@pytest.mark.parametrize("said", ["1e400", "9" * 30, "true", '"\\u0000"', f'"{"1" * 65}"', "[]", "-5"])
def test_a_phone_that_nobody_can_have_is_none(said: str) -> None:
    found = listed(f'{{"session_id": "bad", "status": "connected", "phone_number": {said}}}')
    assert found.sessions[SessionId("bad")].phone is None
    assert found.sessions[SessionId("good")].phone == "62816"


def test_half_a_character_in_one_error_does_not_cost_the_list() -> None:
    found = listed('{"session_id": "bad", "status": "failed", "error": "cut off \\ud83d"}')
    assert found.sessions[SessionId("bad")].error == "cut off"


def test_a_list_longer_than_any_process_could_hold_is_no_list() -> None:
    body = b'{"success": true, "sessions": [' + b"{}," * reading.ROWS_MAX + b"{}]}"
    found = sessions.sessions_of(AT, Reply(200, {}, body))
    assert isinstance(found, Fault)
    assert "rows" in found.detail


@pytest.mark.parametrize("epoch", [2**63, 2**63 - 1, 2**53, -1, True, "7"])
def test_a_refusal_under_an_epoch_that_cannot_be_is_no_stale_epoch(epoch: Any) -> None:
    fault = answers.fault_of(reply({"error": "stale epoch", "epoch": epoch}, 409))
    assert fault.phase is Phase.REQUEST_REJECTED
    assert fault.epoch is None
    [started] = sessions.started_of(  # type: ignore[union-attr]
        reply({"sessions": [{"session_id": "a", "error": "stale", "epoch": epoch}]}), [SessionId("a")]
    ).values()
    assert isinstance(started, Fault)
    assert started.phase is Phase.UNAVAILABLE


@pytest.mark.parametrize("said", ["x" * 201, "id\x00", "id\n", 7, None])
def test_a_receipt_needs_an_id_that_can_be_kept(said: Any) -> None:
    assert isinstance(answers.receipt_of(reply({"success": True, "message_id": said})), Fault)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["connected", "good", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["session_id", "status", "epoch", "phone_number", "last_activity", "error", "workspace_id"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES), max_size=5), VALUES)
def test_whatever_rows_hold_the_good_one_is_read_and_all_values_are_in_bounds(
    rows: list[dict[str, Any]], timestamp: Any
) -> None:
    said = {"success": True, "sessions": [*rows, GOOD], "timestamp": timestamp}
    found = sessions.sessions_of(AT, reply(said))
    assert isinstance(found, SessionList)
    for row in found.sessions.values():
        check(row)
    if all(row.get("session_id") != "good" for row in rows):
        assert found.sessions[SessionId("good")].status is SessionStatus.CONNECTED


def check(row: ListedSession) -> None:
    assert row.epoch is None or 0 <= row.epoch <= EPOCH_MAX
    assert 0 < len(row.session_id) <= 200
    assert row.session_id.isprintable()
    assert row.phone is None or (len(row.phone) <= 64 and row.phone.isprintable())
    assert row.workspace_id is None or 0 < row.workspace_id < 2**53
    assert row.error is None or len(row.error) <= 200


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["status", "sessions", "memory", "lease", "uptime", "engine"]), VALUES))
def test_whatever_health_says_is_in_bounds(said: dict[str, Any]) -> None:
    found = answers.health_of(reply(said), Capabilities())
    if not isinstance(found, Fault):
        assert found.uptime_s is None or 0 <= found.uptime_s < 2**53
        assert found.engine is None or len(found.engine) <= 200

"""Whether a session comes up by itself or waits for a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homing.decide.starting import linking
from homing.decide.starting.linking import LinkSign
from homing.model.fleet import (
    Epoch,
    InstanceUrl,
    Linking,
    ListedSession,
    Listing,
    NoList,
    SessionId,
    SessionList,
    SessionStatus,
)

A = InstanceUrl("http://a:1")
S = SessionId("s1")
AT = datetime(2026, 1, 1, tzinfo=UTC)
PAIRING, STARTING, UP, GONE, LOGGED_OUT = (
    SessionStatus.PAIRING,
    SessionStatus.STARTING,
    SessionStatus.CONNECTED,
    SessionStatus.DISCONNECTED,
    SessionStatus.LOGGED_OUT,
)


def at(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("known", "waits"),
    [
        (Linking(), False),
        (Linking(code_at=at(1)), True),
        (Linking(code_at=at(1), ready_at=at(2)), False),
        (Linking(code_at=at(3), ready_at=at(2)), True),
        (Linking(code_at=at(1), started_at=at(2)), False),
        (Linking(code_at=at(3), started_at=at(2), ready_at=at(1)), True),
        (Linking(code_at=at(3), started_at=at(2), ready_at=at(4)), False),
        (Linking(code_at=at(3), started_at=at(4), ready_at=at(2)), False),
    ],
)
def test_a_code_counts_since_it_was_ready_and_since_it_was_started(known: Linking, waits: bool) -> None:
    assert linking.waits_for_a_scan(known) is waits
    assert linking.meant(ListedSession(S, PAIRING), known) is (PAIRING if waits else STARTING)


@pytest.mark.parametrize("status", list(SessionStatus))
def test_a_gateway_with_epochs_means_what_it_says(status: SessionStatus) -> None:
    for known in (Linking(), Linking(code_at=at(1)), Linking(logout_at=at(1))):
        assert linking.meant(ListedSession(S, status, epoch=Epoch(1)), known) is status


@pytest.mark.parametrize("status", [STARTING, GONE, SessionStatus.FAILED, SessionStatus.UNKNOWN, SessionStatus.STOPPED])
def test_after_a_reported_logout_whatever_is_not_connected_is_logged_out(status: SessionStatus) -> None:
    ended = Linking(ready_at=at(1), logout_at=at(2))
    assert linking.meant(ListedSession(S, status), ended) is LOGGED_OUT
    for undone in (replace(ended, ready_at=at(3)), replace(ended, started_at=at(3))):
        assert linking.meant(ListedSession(S, status), undone) is status


def test_who_says_connected_is_believed() -> None:
    assert linking.meant(ListedSession(S, UP), Linking(logout_at=at(2), code_at=at(2))) is UP


@pytest.mark.parametrize(
    ("listing", "status"),
    [
        (None, None),
        (NoList(A, "refused"), None),
        (SessionList(A, {}), LOGGED_OUT),
        (SessionList(A, {S: ListedSession(S, GONE)}), LOGGED_OUT),
        (SessionList(A, {S: ListedSession(S, UP)}), UP),
    ],
)
def test_a_list_that_was_not_read_says_nothing_of_a_logout(
    listing: Listing | None, status: SessionStatus | None
) -> None:
    assert linking.at_holder(listing, S, Linking(logout_at=at(1))) is status


@pytest.mark.parametrize(
    ("kind", "data", "sign"),
    [
        ("qr_code_generated", {"qr_code": "x"}, LinkSign.CODE),
        ("session_ready", {}, LinkSign.READY),
        ("session_authenticated", {}, None),
        ("session_disconnected", {"reason": "LOGOUT"}, LinkSign.ENDED),
        ("session_disconnected", {"reason": "logout "}, LinkSign.ENDED),
        ("session_disconnected", {"reason": "UNPAIRED"}, LinkSign.ENDED),
        ("session_disconnected", {"reason": "UNPAIRED_IDLE"}, LinkSign.CODE),
        ("session_disconnected", {"reason": "Max qrcode retries reached"}, LinkSign.CODE),
        *(
            ("session_disconnected", {"reason": reason}, None)
            for reason in ("NAVIGATION", "CONFLICT", "TIMEOUT", "UNLAUNCHED", "PROXYBLOCK", "TOS_BLOCK", None, 7, {})
        ),
        ("session_error", {"reason": "LOGOUT"}, None),
    ],
)
def test_each_reason_is_judged_by_what_it_says_of_the_link(kind: str, data: dict[str, object], sign: LinkSign) -> None:
    assert linking.sign_of(kind, data) is sign


def test_where_a_gateway_tells_the_two_apart_that_it_waits_is_a_fact() -> None:
    for known in (Linking(), Linking(ready_at=at(2), code_at=at(1))):
        assert linking.meant(ListedSession(S, PAIRING, surely_unlinked=True), known) is PAIRING
        assert linking.meant(ListedSession(S, PAIRING), known) is STARTING

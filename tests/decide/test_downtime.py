"""What downtime comes to."""

from datetime import UTC, datetime, timedelta

import pytest

from homing.decide.knowledge.downtime import Month, month_named, month_of, reason_down, summed
from homing.decide.knowledge.standing import Standing
from homing.model.fleet import SessionStatus
from homing.model.ids import Epoch, SessionId, WorkspaceId
from homing.model.sessions.downtime import Downtime, Outage

JANUARY = month_named("2026-01")
T = datetime(2026, 1, 10, 12, tzinfo=UTC)
S = SessionId("s1")


def outage(began: datetime, minutes: float | None, reason: str = "failed", *, continues: bool = False) -> Outage:
    ended = None if minutes is None else began + timedelta(minutes=minutes)
    return Outage(S, 7, WorkspaceId(1), reason, began, ended, continues)


def sum_of(*outages: Outage, month: Month = JANUARY, now: datetime = T + timedelta(days=5)) -> Downtime:
    [found] = summed(outages, {S: 3}, month, now)
    return found


def test_minutes_and_outages_are_added_and_repairs_averaged() -> None:
    found = sum_of(outage(T, 10), outage(T + timedelta(hours=1), 20))
    assert (found.down_s, found.outages, found.time_to_repair_s, found.failed_sends) == (1800.0, 2, 900.0, 3)


def test_a_reason_that_changes_begins_no_second_outage() -> None:
    found = sum_of(outage(T, 10), outage(T + timedelta(minutes=10), 5, "moving", continues=True))
    assert (found.outages, found.repairs_s) == (1, (900.0,))
    assert found.reasons_s == {"failed": 600.0, "moving": 300.0}


def test_what_lasts_counts_up_to_now_and_is_not_repaired() -> None:
    found = sum_of(outage(T, None), now=T + timedelta(minutes=3))
    assert (found.down_s, found.time_to_repair_s, found.down_now) == (180.0, None, True)


def test_only_the_part_within_the_month_counts() -> None:
    over_new_year = outage(datetime(2025, 12, 31, 23, 30, tzinfo=UTC), 60)
    december = sum_of(over_new_year, month=month_named("2025-12"))
    january = sum_of(over_new_year)
    assert (december.down_s, december.outages, december.repairs_s) == (1800.0, 1, ())
    assert (january.down_s, january.outages, january.repairs_s) == (1800.0, 0, (3600.0,))


def test_a_month_that_is_over_ends_at_its_end() -> None:
    lasting = outage(datetime(2026, 1, 31, 23, 0, tzinfo=UTC), None)
    assert sum_of(lasting, now=datetime(2026, 3, 1, tzinfo=UTC)).down_s == 3600.0


def test_months_are_those_of_utc() -> None:
    assert str(month_of(datetime(2026, 12, 31, 23, 30, tzinfo=UTC))) == "2026-12"
    assert month_of(datetime(2026, 12, 31, tzinfo=UTC)).ends == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "january", "", "2026-01-01", "9999-12", "٢٠٢٦-٠١"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no month; write it as 2026-01"):
        month_named(text)


@pytest.mark.parametrize(
    ("standing", "status", "placed", "epoch", "reason"),
    [
        (Standing.CONNECTED, SessionStatus.CONNECTED, True, 3, None),
        (Standing.STOPPED, SessionStatus.STOPPED, True, 3, None),
        (Standing.WAITS, SessionStatus.PAIRING, True, 3, None),
        (Standing.UNKNOWN, SessionStatus.UNKNOWN, False, 0, None),
        (Standing.UNKNOWN, SessionStatus.UNKNOWN, True, 3, "unknown"),
        (Standing.MOVING, SessionStatus.CONNECTED, True, 3, "moving"),
        (Standing.LOGGED_OUT, SessionStatus.LOGGED_OUT, True, 3, "logged out"),
    ],
)
def test_a_session_that_was_stopped_or_never_up_is_not_down(
    standing: Standing, status: SessionStatus, placed: bool, epoch: int, reason: str | None
) -> None:
    assert reason_down(standing, status, placed=placed, epoch=Epoch(epoch)) == reason

"""How a session did over the last 24 hours, half hour by half hour."""

from datetime import UTC, datetime, timedelta

from homing.decide.knowledge.heartbeat import BEATS, begins, heartbeat
from homing.model.ids import SessionId, WorkspaceId
from homing.model.sessions.downtime import Outage

NOW = datetime(2026, 1, 10, 12, 40, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def at(hours: int, minutes: int, seconds: float = 0, day: int = 10) -> datetime:
    return datetime(2026, 1, day, hours, minutes, tzinfo=UTC) + timedelta(seconds=seconds)


def outage(began: datetime, seconds: float | None, reason: str = "failed", *, continues: bool = False) -> Outage:
    ended = None if seconds is None else began + timedelta(seconds=seconds)
    return Outage(SessionId("s1"), 7, WorkspaceId(1), reason, began, ended, continues)


def shown(*outages: Outage, moved: tuple[datetime, ...] = (), created: datetime = LONG_AGO) -> str:
    return heartbeat(outages, moved, created, NOW)


def test_the_half_hours_are_those_of_the_clock_and_the_last_one_is_not_over() -> None:
    assert begins(NOW) == at(13, 0, day=9)
    assert shown() == "." * BEATS


def test_the_worst_moment_of_a_half_hour_counts() -> None:
    beats = shown(outage(at(12, 31), 1), moved=(at(12, 35), at(11, 0)))
    assert beats[-1] == "x"
    assert beats[-4:] == "m..x"


def test_what_lasts_is_down_in_every_half_hour_up_to_now() -> None:
    assert shown(outage(at(11, 10), None))[-5:] == ".xxxx"


def test_what_began_before_the_day_is_down_from_its_first_half_hour() -> None:
    assert shown(outage(at(1, 0, day=8), 36.5 * 3600)).startswith("xx.")


def test_a_short_move_is_no_outage_and_a_long_one_is() -> None:
    short = (outage(at(12, 1), 1, "moving"), outage(at(12, 1, 1), 3.9, "starting", continues=True))
    long = (outage(at(12, 1), 1, "moving"), outage(at(12, 1, 1), 4.0, "starting", continues=True))
    assert shown(*short)[-2] == "m"
    assert shown(*long)[-2] == "x"


def test_who_is_brought_back_in_a_moment_was_moved_and_not_down() -> None:
    assert shown(outage(at(12, 1), 1, "failed"), outage(at(12, 1, 1), 1, "moving", continues=True))[-2] == "m"
    assert shown(outage(at(12, 1), 2, "failed"), moved=(at(12, 1, 1),))[-2] == "m"
    assert shown(outage(at(12, 1), 2, "failed"))[-2] == "x"
    assert shown(outage(at(12, 1), 6, "failed"), moved=(at(12, 1, 1),))[-2] == "x"


def test_a_session_in_doubt_is_not_said_to_be_down() -> None:
    assert shown(outage(at(12, 1), 60, "doubtful"))[-2] == "d"


def test_before_there_was_a_session_there_is_nothing() -> None:
    assert shown(created=at(12, 10)) == "-" * (BEATS - 2) + ".."

"""When a condition begins and when it ends are different figures: what swings about a limit is told once."""

from datetime import UTC, datetime, timedelta

import pytest

from homing.decide.alerts import conditions
from homing.decide.alerts.conditions import AccountGrowth, Passed, Stands, Streak
from homing.model.instances.health import HealthJudgment, HealthState
from homing.model.work import ScheduleRecord

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY_FIVE = "*/5 * * * *"


def judged(state: HealthState, unwell_s: float) -> HealthJudgment:
    return HealthJudgment(state, 100.0, "it refuses connections", unwell_since_s=100.0 - unwell_s)


def down(state: HealthState, unwell_s: float, sessions: int = 1, well: bool = True, draining: bool = False) -> object:
    return conditions.instance_down(judged(state, unwell_s), 100.0, sessions=sessions, was_well=well, draining=draining)


def test_an_instance_is_down_after_30_s_and_not_before() -> None:
    assert down(HealthState.DOWN, 29.9) is None
    assert down(HealthState.DOWN, 30) == Stands("it is down: it refuses connections")
    assert isinstance(down(HealthState.SUSPECT, 31), Stands)
    assert down(HealthState.HEALTHY, 31) == Passed()


def test_a_gateway_that_never_saw_it_well_does_not_say_that_it_is() -> None:
    """Of a gateway that starts, nothing is known of any instance yet: what stands must not be resolved by it."""
    assert down(HealthState.HEALTHY, 0, well=False) is None


def test_nobody_misses_an_instance_that_never_came_up_or_was_emptied() -> None:
    assert down(HealthState.DOWN, 99, sessions=0, well=False) is None
    assert down(HealthState.DOWN, 99, sessions=0, draining=True) == Passed()
    assert isinstance(down(HealthState.DOWN, 99, sessions=3, well=False, draining=True), Stands)


@pytest.mark.parametrize(
    ("room", "growth", "says"),
    [
        (100, AccountGrowth(24, 96), "there is room for 100 more, and 4.0 accounts an hour are added: enough for 25 h"),
        (0, AccountGrowth(24, 96), "there is no room left, and 4.0 accounts an hour are added"),
        (131, AccountGrowth(24, 96), Passed()),
        (110, AccountGrowth(24, 96), None),
        (None, AccountGrowth(900, 900), Passed()),
        (10, AccountGrowth(0, 900), Passed()),
        (0, AccountGrowth(2, 2), Passed()),
    ],
)
def test_room_is_short_by_the_growth_that_both_windows_bear_out(
    room: int | None, growth: AccountGrowth, says: object
) -> None:
    found = conditions.capacity_short(room, growth, 26)
    assert (found.reason if isinstance(found, Stands) else found) == says


def schedule(last: datetime, **more: object) -> ScheduleRecord:
    known: dict[str, object] = {"started_at": last, "finished_at": last, "result": "", "error": "", "holder": None}
    known |= {"lease_until": None, "fence": 1, "runs": 1, "failures": 0} | more
    return ScheduleRecord("sync-instance-urls", EVERY_FIVE, last, **known)  # type: ignore[arg-type]


def test_a_check_that_missed_three_turns_does_not_run() -> None:
    known = schedule(NOON)
    assert conditions.schedule_not_running(known, EVERY_FIVE, NOON + timedelta(minutes=15, seconds=59)) == Passed()
    found = conditions.schedule_not_running(known, EVERY_FIVE, NOON + timedelta(minutes=16))
    assert found == Stands("the last one began at 2026-01-01 12:00 UTC")
    assert conditions.schedule_not_running(known, "", NOON + timedelta(days=9)) == Passed()
    assert conditions.schedule_not_running(None, EVERY_FIVE, NOON) is None


def test_a_check_that_somebody_is_at_runs_for_half_an_hour_and_no_longer() -> None:
    now = NOON + timedelta(minutes=20)
    held = schedule(NOON, holder="a", lease_until=now + timedelta(seconds=5))
    assert conditions.schedule_not_running(held, EVERY_FIVE, now) == Passed()
    now = NOON + timedelta(minutes=31)
    held = schedule(NOON, holder="a", lease_until=now + timedelta(seconds=5))
    assert isinstance(conditions.schedule_not_running(held, EVERY_FIVE, now), Stands)
    left = schedule(NOON, holder="a", lease_until=NOON)
    assert isinstance(conditions.schedule_not_running(left, EVERY_FIVE, now), Stands)


def test_one_failed_check_is_a_moments_and_two_in_a_row_are_not() -> None:
    streak = Streak()
    for runs, error, says in ((1, "away", None), (1, "away", None), (2, "away", Stands("it failed: away"))):
        known = schedule(NOON, runs=runs, error=error)
        streak = streak.after(known)
        assert conditions.schedule_failing(known, streak) == says
    well = schedule(NOON, runs=3)
    streak = streak.after(well)
    assert conditions.schedule_failing(well, streak) == Passed()
    again = schedule(NOON, runs=4, error="away")
    assert conditions.schedule_failing(again, streak.after(again)) is None


@pytest.mark.parametrize(
    ("lags", "says"),
    [([0.6] * 11 + [0.0] * 9, Stands("it takes 0.6 s to answer")), ([9.0] * 9 + [0.01] * 11, Passed()), ([0.3], None)],
)
def test_a_database_is_slow_by_its_usual_answer_and_not_by_its_worst(lags: list[float], says: object) -> None:
    assert conditions.database_slow(lags) == says


@pytest.mark.parametrize(
    ("ahead_s", "says"),
    [
        (5.0, Stands("its clock is 5 s ahead of the database's")),
        (-7.4, Stands("its clock is 7 s behind the database's")),
        (3.0, None),
        (-1.0, Passed()),
    ],
)
def test_clocks_that_differ_by_seconds_are_told(ahead_s: float, says: object) -> None:
    assert conditions.clock_off(ahead_s) == says


def test_what_is_unknown_is_counted_with_its_age() -> None:
    assert conditions.unknown_waiting(0, None) == Passed()
    assert conditions.unknown_waiting(2, NOON) == Stands(
        "2 messages wait to be settled, the oldest since 2026-01-01 12:00 UTC"
    )

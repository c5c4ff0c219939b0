"""A connected session is called deaf by its own past and by what it sends, and never by a silence that is usual."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.hearing import baseline, freshness, mass, outgoing
from homing.decide.hearing.freshness import Lateness
from homing.decide.hearing.judgment import judge
from homing.decide.hearing.mass import Shared
from homing.model.fleet import SessionId
from homing.model.sessions.hearing import DeepLook, HeardHour, HeardOf, Hearing, Neighbours, Outgoing, Shows

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NOON = MONDAY + timedelta(hours=12)
SESSION = SessionId("webjs_1_1")


def opening_hours(
    rate: int, *, until: datetime = NOON, weeks: int = 5, opens: int = 8, closes: int = 20, gap_s: float = 180.0
) -> list[HeardHour]:
    """`rate` messages in each hour of business of every day, none at night."""
    last = baseline.hour_of(until)
    return [HeardHour(hour, rate, gap_s) for hour in range(last - weeks * 168, last) if opens <= hour % 24 < closes]


def known(hours: Sequence[HeardHour], now: datetime, *, last_at: datetime | None, **told: object) -> HeardOf:
    base = HeardOf(
        SESSION, since_at=now - timedelta(days=30), last_at=last_at, hours=hours, baseline=baseline.learn(hours, now)
    )
    return replace(base, **told)  # type: ignore[arg-type]


def pending(
    count: int, now: datetime, *, share: float | None = 0.98, ago: timedelta = timedelta(minutes=10)
) -> Outgoing:
    moments = [now - ago - timedelta(minutes=count - each) for each in range(count)]
    return Outgoing(moments, now - timedelta(hours=1), share)


# --- silence --------------------------------------------------------------------------------------------------


def test_a_busy_session_that_falls_silent_in_the_midst_of_traffic_is_deaf() -> None:
    hours = opening_hours(120)
    assert judge(known(hours, NOON, last_at=NOON - timedelta(minutes=2)), NOON).hearing is Hearing.HEARING
    verdict = judge(known(hours, NOON, last_at=NOON - timedelta(hours=1)), NOON)
    assert verdict.hearing is Hearing.DEAF
    assert Shows.SILENCE in verdict.shows
    assert "no message has come for 60 min" in verdict.reason


def test_a_silent_night_says_nothing() -> None:
    hours, night = opening_hours(120, until=MONDAY), MONDAY + timedelta(hours=5)
    verdict = judge(known(hours, night, last_at=MONDAY - timedelta(hours=4, minutes=1)), night)
    assert (verdict.hearing, verdict.against) == (Hearing.HEARING, 0.0)


@given(rate=st.integers(0, 5), silent_h=st.floats(0.1, 500))
def test_a_quiet_account_is_never_called_anything_by_its_silence(rate: int, silent_h: float) -> None:
    hours = [
        HeardHour(hour, rate, 900.0) for hour in range(baseline.hour_of(NOON) - 840, baseline.hour_of(NOON)) if rate
    ]
    verdict = judge(known(hours, NOON, last_at=NOON - timedelta(hours=silent_h)), NOON)
    assert verdict.hearing is Hearing.HEARING


def test_who_is_deaf_in_the_morning_is_missed_within_the_first_hour_of_business_and_only_doubted() -> None:
    hours = opening_hours(150, until=MONDAY + timedelta(hours=8), gap_s=60.0)
    evening, opened = MONDAY - timedelta(hours=4, minutes=1), MONDAY + timedelta(hours=8)
    early = opened + timedelta(minutes=5)
    assert judge(known(hours, early, last_at=evening), early).hearing is Hearing.HEARING
    later = opened + timedelta(minutes=45)
    verdict = judge(known(hours, later, last_at=evening), later)
    assert verdict.hearing is Hearing.DOUBTFUL
    assert "may be a day off" in verdict.reason


def test_one_busy_morning_is_no_opening_hour() -> None:
    last = baseline.hour_of(MONDAY)
    hours = [HeardHour(last - 840, 1, 60.0), HeardHour(last - 168 + 8, 150, 60.0), HeardHour(last - 1, 1, 60.0)]
    assert baseline.learn(hours, MONDAY).low[(last + 8) % 168] == 0.0


def test_a_silence_since_the_evening_may_be_a_day_off_and_is_never_deaf() -> None:
    hours = opening_hours(200, until=MONDAY + timedelta(hours=8))
    evening = MONDAY - timedelta(hours=4, minutes=1)
    for hour in range(9, 20):
        now = MONDAY + timedelta(hours=hour)
        verdict = judge(known(hours, now, last_at=evening), now)
        assert verdict.hearing is not Hearing.DEAF
    assert verdict.hearing is Hearing.DOUBTFUL
    assert "may be a day off" in verdict.reason


def test_a_holiday_on_which_little_comes_is_expected_to_go_on_so() -> None:
    usual = opening_hours(100, until=MONDAY + timedelta(hours=8))
    today = [HeardHour(baseline.hour_of(MONDAY) + hour, 8, 900.0) for hour in (8, 9, 10, 11)]
    silent = known([*usual, *today], NOON + timedelta(minutes=50), last_at=NOON)
    verdict = judge(replace(silent, baseline=baseline.learn(usual, MONDAY)), NOON + timedelta(minutes=50))
    assert verdict.hearing is Hearing.HEARING


def test_an_account_without_a_past_is_not_judged_by_silence() -> None:
    hours = opening_hours(200, weeks=1)[40:]
    assert judge(known(hours, NOON, last_at=NOON - timedelta(hours=2)), NOON).hearing is Hearing.HEARING


def test_one_week_is_too_little_to_call_a_session_deaf_by_silence() -> None:
    hours = opening_hours(400, weeks=2)[60:]
    verdict = judge(known(hours, NOON, last_at=NOON - timedelta(hours=2)), NOON)
    assert verdict.hearing is Hearing.DOUBTFUL


def test_a_week_of_spam_does_not_raise_what_is_expected() -> None:
    hours = opening_hours(20)
    spam = [each._replace(came=2_000) if 336 <= index % 840 < 420 else each for index, each in enumerate(hours)]
    usual, poisoned = baseline.learn(hours, NOON), baseline.learn(spam, NOON)
    assert poisoned.low == usual.low


def test_hours_in_which_it_was_not_well_do_not_lower_what_is_expected() -> None:
    hours = opening_hours(60)
    deaf = {each.hour for each in hours[-300:-10]}
    lost = [each for each in hours if each.hour not in deaf]
    void = [HeardHour(hour, 0, 0.0, True) for hour in sorted(deaf)]
    at = baseline.hour_of(NOON) % 168
    assert baseline.learn([*lost, *void], NOON).low[at] == 60
    assert baseline.learn(lost, NOON).low[at] < 60


def test_what_nobody_listened_to_is_no_silence() -> None:
    hours = opening_hours(300)
    deaf = known(hours, NOON, last_at=NOON - timedelta(hours=2))
    assert judge(deaf, NOON).hearing is Hearing.DEAF
    assert judge(replace(deaf, since_at=NOON - timedelta(minutes=1)), NOON).hearing is Hearing.HEARING


def test_a_session_that_falls_silent_now_and_then_is_given_longer() -> None:
    hours = opening_hours(100)
    lulls = [each for index, each in enumerate(hours) if index % 12 != 6 or index > 400]
    deaf, usual = NOON - timedelta(minutes=70), NOON
    assert judge(known(hours, usual, last_at=deaf), usual).hearing is Hearing.DEAF
    assert judge(known(lulls, usual, last_at=deaf), usual).hearing is not Hearing.DEAF


@given(
    rate=st.integers(0, 400),
    gap_s=st.floats(1, 3_000),
    silent_min=st.lists(st.integers(0, 3_000), min_size=2, max_size=2).map(sorted),
)
def test_more_silence_never_speaks_for_a_session(rate: int, gap_s: float, silent_min: list[int]) -> None:
    hours = opening_hours(rate, gap_s=gap_s) if rate else []
    shorter, longer = (
        judge(known(hours, NOON + timedelta(minutes=each), last_at=NOON), NOON + timedelta(minutes=each))
        for each in silent_min
    )
    assert longer.against >= shorter.against - 1e-9


@given(
    st.lists(st.tuples(st.integers(0, 839), st.integers(0, 5_000), st.floats(0, 3_600), st.booleans()), max_size=300)
)
def test_a_baseline_is_never_negative_and_never_above_what_came(rows: list[tuple[int, int, float, bool]]) -> None:
    begin = baseline.hour_of(NOON) - 840
    hours = [HeardHour(begin + at, came, gap, void) for at, came, gap, void in {row[0]: row for row in rows}.values()]
    learnt = baseline.learn(hours, NOON)
    assert all(0 <= each <= max((row.came for row in hours), default=0) for each in learnt.low)
    assert learnt.clumping >= 1.0
    assert 0.0 <= learnt.lulls <= 1.0


# --- what goes out --------------------------------------------------------------------------------------------


def test_messages_that_stay_unacknowledged_make_a_quiet_session_doubtful_then_deaf() -> None:
    def judged(count: int) -> Hearing:
        return judge(known([], NOON, last_at=None, outgoing=pending(count, NOON)), NOON).hearing

    assert [judged(count) for count in (0, 2, 3, 5)] == [
        Hearing.HEARING,
        Hearing.HEARING,
        Hearing.DOUBTFUL,
        Hearing.DEAF,
    ]


@pytest.mark.parametrize("share", [None, 0.1])
def test_where_acknowledgements_are_not_usual_missing_ones_say_nothing(share: float | None) -> None:
    asked = known([], NOON, last_at=None, outgoing=pending(16, NOON, share=share))
    assert judge(asked, NOON).hearing is Hearing.HEARING


def test_messages_that_went_out_just_now_are_still_on_their_way() -> None:
    fresh = Outgoing([NOON - timedelta(seconds=30 * each) for each in range(9, 0, -1)], None, 0.98)
    assert judge(known([], NOON, last_at=None, outgoing=fresh), NOON).hearing is Hearing.HEARING


def test_what_was_sent_while_it_was_deaf_does_not_make_that_usual() -> None:
    assert outgoing.share(4, 4) is None
    assert outgoing.share(4, 4, 0.9) == 0.9
    share = outgoing.share(100, 98)
    assert share is not None
    assert share > 0.96


# --- the deeper question, and neighbours ----------------------------------------------------------------------


def test_one_bad_answer_to_the_deeper_question_is_a_reconnect_two_that_last_are_not() -> None:
    def judged(failed: int, for_: timedelta) -> Hearing:
        look = DeepLook(NOON, failed, NOON - for_, "it is not connected")
        return judge(known([], NOON, last_at=None, looked=look), NOON).hearing

    assert judged(1, timedelta(minutes=5)) is Hearing.HEARING
    assert judged(2, timedelta(minutes=1)) is Hearing.HEARING
    assert judged(2, timedelta(minutes=5)) is Hearing.DEAF


def test_an_instance_of_which_nothing_comes_makes_each_of_its_sessions_deaf() -> None:
    hours, now = opening_hours(15), NOON
    alone = known(hours, now, last_at=now - timedelta(minutes=25))
    assert judge(alone, now).hearing is Hearing.HEARING
    among = replace(alone, neighbours=Neighbours(8, 40.0, now - timedelta(minutes=25)))
    verdict = judge(among, now)
    assert verdict.hearing is Hearing.DEAF
    assert "8 other sessions of its instance" in verdict.reason


def test_a_quiet_session_is_not_deaf_because_its_neighbours_are() -> None:
    alone = known([], NOON, last_at=NOON - timedelta(hours=5), neighbours=Neighbours(8, 40.0, NOON))
    assert judge(alone, NOON).hearing is Hearing.HEARING


# --- many at once ---------------------------------------------------------------------------------------------


def shared(count: int, deaf: int, engine: str, *, instance: str | None = None, canary: int = 0) -> list[Shared]:
    return [
        Shared(
            SessionId(f"{engine}-{each}"),
            deaf=each < deaf,
            engine=engine,
            instance=instance or f"http://{each % 7}",
            canary=each < canary,
        )
        for each in range(count)
    ]


def test_a_whole_engine_version_that_goes_deaf_is_held_except_on_the_canary() -> None:
    held = mass.held([*shared(200, 200, "2.3000", canary=3), *shared(400, 1, "2.2412")])
    assert len(held) == 197
    assert "200 of 200 sessions of engine version 2.3000 went deaf together" in held[SessionId("2.3000-50")]


def test_a_few_deaf_sessions_hold_nothing() -> None:
    assert mass.held([*shared(200, 4, "2.3000"), *shared(100, 0, "2.2412")]) == {}


def test_one_sick_instance_is_not_the_engine() -> None:
    sick = shared(40, 40, "2.3000", instance="http://sick")
    well = [
        replace(each, session_id=SessionId(f"well-{each.session_id}"), deaf=False) for each in shared(40, 0, "2.3000")
    ]
    assert mass.held([*sick, *well, *shared(100, 0, "other")]) == {}


def test_half_of_the_fleet_deaf_is_more_likely_us() -> None:
    held = mass.held([Shared(SessionId(str(each)), deaf=each < 60) for each in range(100)])
    assert len(held) == 60


# --- clocks and replays ---------------------------------------------------------------------------------------


def told(known: Lateness, lates: Sequence[float]) -> tuple[Lateness, list[bool]]:
    fresh = []
    for late in lates:
        known, is_fresh = freshness.take(known, late)
        fresh.append(is_fresh)
    return known, fresh


def test_a_journal_that_is_told_late_is_no_sign_of_life() -> None:
    usual, fresh = told(Lateness(), [1.0] * 20)
    assert all(fresh)
    _, fresh = told(usual, [7_200.0 - 30 * each for each in range(20)])
    assert not any(fresh)


def test_a_clock_that_is_behind_is_found_out_and_its_reports_are_of_now() -> None:
    known, _ = told(Lateness(), [7_200.0] * 20)
    _, fresh = told(known, [7_201.0, 7_195.0])
    assert all(fresh)
    _, fresh = told(known, [7_200.0 + 3_600])
    assert not any(fresh)


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0, 200), min_size=10, max_size=80))
def test_however_wrong_a_clock_is_what_it_reports_at_once_counts_as_of_now(skew: float, delays: list[float]) -> None:
    known, _ = told(Lateness(), [skew + 5.0] * 8)
    _, fresh = told(known, [skew + delay for delay in delays])
    assert all(fresh)

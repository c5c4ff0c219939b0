"""What becomes of failed jobs, and when schedules tick."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.work.attempts import RetryPolicy, after_failure, before_attempt
from homing.decide.work.cron import Due, Later, Off, checked, due
from homing.model.work import Dead, Job, JobId, JobState, Priority, Retry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = Job(
    id=JobId(1),
    kind="kind",
    key=None,
    dedup=None,
    payload={},
    priority=Priority.NORMAL,
    state=JobState.RUNNING,
    due_at=NOON,
    attempts=1,
    fence=1,
    owner="me",
    reason="refused",
    created_at=NOON,
    finished_at=None,
)
POLICY = RetryPolicy(waits_s=(1, 10, 100), jitter=0.0)


def judged(attempts: int, *, policy: RetryPolicy = POLICY, age_s: float = 0, chance: float = 0.5) -> Retry | Dead:
    now = NOON + timedelta(seconds=age_s)
    return after_failure(replace(JOB, attempts=attempts), "refused", now=now, policy=policy, chance=chance)


def test_each_failure_waits_its_turn_and_the_last_is_the_end() -> None:
    assert [judged(attempts) for attempts in (1, 2, 3)] == [Retry(wait, "refused") for wait in (1, 10, 100)]
    assert judged(4) == Dead("given up after 4 attempts: refused")


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_jitter_stays_within_its_part(chance: float, jitter: float) -> None:
    answer = judged(2, policy=replace(POLICY, jitter=jitter), chance=chance)
    assert isinstance(answer, Retry)
    assert 10 * (1 - jitter) <= answer.after_s <= 10 * (1 + jitter)


def test_jitter_parts_what_failed_together() -> None:
    policy = replace(POLICY, jitter=0.2)
    assert judged(1, policy=policy, chance=0.1) != judged(1, policy=policy, chance=0.9)


def test_a_job_that_would_be_too_old_is_given_up() -> None:
    policy = replace(POLICY, give_up_after_s=60)
    assert isinstance(judged(1, policy=policy, age_s=58), Retry)
    assert judged(2, policy=policy, age_s=58) == Dead("given up at the age of 58 s, after 2 attempts: refused")


def test_a_job_that_takes_every_worker_with_it_is_not_tried_for_ever() -> None:
    assert before_attempt(replace(JOB, attempts=4), POLICY) is None
    hopeless = before_attempt(replace(JOB, attempts=5), POLICY)
    assert hopeless is not None
    assert hopeless.reason.startswith("4 attempts were begun and never came to an end")


# --- schedules ----------------------------------------------------------------------------------------------------


def test_a_tick_is_due_in_its_own_second_and_once() -> None:
    before = NOON - timedelta(seconds=1)
    assert due(NOON, before, "*/5 * * * *") == Due(NOON, "due since 2026-01-01 12:00:00 UTC")
    later = due(NOON, NOON, "*/5 * * * *")
    assert later == Later(NOON + timedelta(minutes=5), "due at 2026-01-01 12:05:00 UTC")


def test_missed_ticks_are_one_and_it_is_the_newest() -> None:
    now = NOON + timedelta(minutes=17, seconds=3)
    assert due(now, NOON, "*/5 * * * *") == Due(NOON + timedelta(minutes=15), "due since 2026-01-01 12:15:00 UTC")


def test_seconds_may_be_the_sixth_field() -> None:
    now = NOON + timedelta(seconds=7, microseconds=900_000)
    assert due(now, NOON, "* * * * * */2") == Due(NOON + timedelta(seconds=6), "due since 2026-01-01 12:00:06 UTC")


def test_a_clock_that_went_back_repeats_no_tick() -> None:
    answer = due(NOON - timedelta(minutes=7), NOON, "*/5 * * * *")
    assert isinstance(answer, Later)
    assert answer.next_at == NOON + timedelta(minutes=5)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_expression_is_off(empty: str) -> None:
    assert isinstance(due(NOON, NOON, checked(empty)), Off)


@pytest.mark.parametrize("wrong", ["x", "* * * *", "61 * * * *", "* * * * * * *", "0 0 30 2 *"])
def test_what_is_no_expression_or_never_comes_is_said_in_a_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"no cron expression|never comes to pass") as error:
        checked(wrong)
    assert repr(wrong) in str(error.value)


@given(st.integers(0, 10**8), st.integers(0, 10**6), st.sampled_from(["*/5 * * * *", "7 3 * * *", "* * * * * */10"]))
def test_ticks_never_repeat_and_are_never_in_the_future(offset_s: int, later_s: int, expression: str) -> None:
    last = NOON + timedelta(seconds=offset_s)
    now = last + timedelta(seconds=later_s)
    answer = due(now, last, expression)
    if isinstance(answer, Due):
        assert last < answer.tick_at <= now
        assert isinstance(due(now, answer.tick_at, expression), Later)
    else:
        assert isinstance(answer, Later)
        assert answer.next_at > now

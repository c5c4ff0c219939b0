"""What follows from an answer to a notification."""

import pytest

from homing.instance.notify.retries import Delivered, GivenUp, NoAnswer, NotifyAnswer, NotifyRetryPolicy, judge

POLICY = NotifyRetryPolicy()
NOW = 1_795_000_000.0


def judged(answer, *, failures=0, age_s=0.0, jitter=0.5, policy=POLICY, scouts=False):
    return judge(answer, policy, failures=failures, age_s=age_s, jitter=jitter, now=NOW, scouts=scouts)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_was_accepted_is_delivered(status):
    assert judged(NotifyAnswer(status)) == Delivered()
    assert judged(NotifyAnswer(status), failures=99, age_s=1e9) == Delivered()


@pytest.mark.parametrize("status", [301, 400, 409, 413, 422])
def test_what_the_gateway_does_not_want_is_given_up_with_its_answer(status):
    assert judged(NotifyAnswer(status)) == GivenUp(f"the gateway answered {status}")


PASSING = [NoAnswer("refused"), *(NotifyAnswer(status) for status in (401, 403, 404, 408, 429, 500, 502, 503))]


@pytest.mark.parametrize("answer", PASSING)
def test_what_may_pass_is_tried_three_times_more_and_then_parked(answer):
    steps = [judged(answer, failures=failures) for failures in range(6)]
    assert [(step.after_s, step.parked) for step in steps] == [
        *((1.0, False), (2.0, False), (4.0, False)),
        *((30.0, True), (30.0, True), (30.0, True)),
    ]


@pytest.mark.parametrize("answer", PASSING)
def test_the_scout_of_those_that_are_parked_is_tried_at_the_longest_quick_pause(answer):
    assert [judged(answer, failures=failures, scouts=True).after_s for failures in (2, 3, 9)] == [4.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("answer", "soonest_s"),
    [
        (NoAnswer("refused"), 1.0),
        (NotifyAnswer(500), 8.0),
        (NotifyAnswer(429, "12"), 12.0),
        (NotifyAnswer(429, "60"), 60.0),
    ],
)
def test_what_is_parked_may_go_earlier_once_others_are_taken(answer, soonest_s):
    step = judged(answer, failures=9)
    assert (step.soonest_s, step.after_s) == (soonest_s, max(30.0, soonest_s))


def test_a_quick_pause_never_exceeds_its_longest():
    patient = NotifyRetryPolicy(retries_max=100)
    pauses = [judged(NotifyAnswer(500), failures=failures, policy=patient).after_s for failures in (3, 4, 99)]
    assert pauses == [8.0, 8.0, 8.0]


def test_no_quick_retry_at_all_parks_at_once():
    assert judged(NotifyAnswer(500), policy=NotifyRetryPolicy(retries_max=0)).parked


@pytest.mark.parametrize(("failures", "between"), [(0, (0.5, 1.5)), (2, (2.0, 6.0)), (3, (15.0, 45.0))])
def test_chance_spreads_a_pause_around_its_mean(failures, between):
    least, most = (judged(NotifyAnswer(500), failures=failures, jitter=jitter).after_s for jitter in (0.0, 1.0))
    assert (least, most) == between


@pytest.mark.parametrize(
    ("retry_after", "after_s"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("Wed, 18 Nov 2026 11:06:45 GMT", 5.0),
        ("Wed, 18 Nov 2026 11:00:00 GMT", 1.0),
        ("99999999", 3600.0),
        ("soon", 1.0),
        ("-5", 1.0),
        ("", 1.0),
        (None, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_the_gateway_names_is_kept(status, retry_after, after_s):
    assert judged(NotifyAnswer(status, retry_after)).after_s == after_s


def test_a_named_pause_also_delays_what_is_parked():
    assert judged(NotifyAnswer(429, "300"), failures=5).after_s == 300.0


def test_after_a_day_no_attempt_follows():
    assert judged(NoAnswer("refused"), failures=9, age_s=86_399.0).parked
    assert judged(NoAnswer("refused"), failures=9, age_s=86_401.0) == GivenUp(
        "refused, and the notification is 24 h old"
    )

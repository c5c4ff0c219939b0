"""How an endpoint is after an attempt: what fails together is one failure, what fails again and again is let be."""

from datetime import UTC, datetime, timedelta

from homing.decide.deliveries.attempts import SOME_FAILURES, health_after
from homing.model.deliveries.endpoints import EndpointHealth, RetrySchedule

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def failed(before: EndpointHealth, at: datetime) -> EndpointHealth:
    return health_after(before, succeeded=False, latency_ms=10, schedule=RetrySchedule.STANDARD, now=at)


def test_thirty_two_attempts_that_fail_at_once_are_not_a_day_of_failures() -> None:
    health = EndpointHealth()
    for _ in range(32):
        health = failed(health, NOW)
    assert health.retry_at is not None
    assert (health.failures, health.retry_at - NOW) == (SOME_FAILURES, timedelta(seconds=1))


def test_what_fails_again_after_it_was_let_be_is_let_be_for_longer() -> None:
    health, at = EndpointHealth(), NOW
    waits = []
    for _ in range(8):
        health = failed(health, at)
        if health.retry_at is not None:
            waits.append((health.retry_at - at).total_seconds())
            at = health.retry_at
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]

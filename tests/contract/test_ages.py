"""The age of a message is in its uuid."""

from datetime import UTC, datetime, timedelta

from homing.store.outbox.retention import first_uuid_at
from homing.world import SystemEntropy


def test_what_was_made_before_a_moment_sorts_below_it_and_what_was_made_later_above() -> None:
    made, now = SystemEntropy().uuid(), datetime.now(UTC)
    assert first_uuid_at(now - timedelta(days=1)) < made < first_uuid_at(now + timedelta(days=1))


def test_a_moment_is_told_to_the_millisecond() -> None:
    moment = datetime(2026, 11, 30, 12, 0, 0, 250_000, tzinfo=UTC)
    ms = int(moment.timestamp() * 1000)
    assert int(first_uuid_at(moment).replace("-", ""), 16) == ms
    assert first_uuid_at(moment) < f"{first_uuid_at(moment)}-7000-8000-000000000000"
    assert first_uuid_at(datetime(1960, 1, 1, tzinfo=UTC)) == "00000000-0000"

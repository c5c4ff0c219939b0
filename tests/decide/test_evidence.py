"""Old events that are told again say nothing of now."""

from datetime import UTC, datetime, timedelta

import pytest

from homing.decide.reports.evidence import happened_at
from homing.model.instances.events import Event

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "at"),
    [
        (None, NOW),
        (NOW - timedelta(seconds=3), NOW - timedelta(seconds=3)),
        (NOW - timedelta(days=30), NOW - timedelta(days=30)),
        (NOW + timedelta(days=30), NOW),
    ],
    ids=["no word", "fresh", "replayed", "from the future"],
)
def test_an_event_is_of_when_it_happened_and_never_of_later_than_it_came(told: datetime | None, at: datetime) -> None:
    event = Event(1, "e", NOW, told, "message_received", None, None, None, None, {})
    assert happened_at(event) == at

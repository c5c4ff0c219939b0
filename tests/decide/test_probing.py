"""A doubtful session is sent a message to itself, seldom, and what becomes of it counts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homing.decide.hearing import judgment, probing
from homing.model.fleet import InstanceMode, SessionId
from homing.model.sessions.hearing import HeardOf, Hearing, Outgoing, Shows

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROBED = HeardOf(
    SessionId("s"), NOW - timedelta(days=1), outgoing=Outgoing((), NOW - timedelta(hours=3), 0.97),
    probes=(NOW - timedelta(minutes=6),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("hearing", "ago_min", "mode", "per_day", "due"),
    [
        (Hearing.DOUBTFUL, [], InstanceMode.ROUTE, 2, True),
        (Hearing.DOUBTFUL, [11], InstanceMode.ROUTE, 2, True),
        (Hearing.DOUBTFUL, [9], InstanceMode.ROUTE, 2, False),
        (Hearing.DOUBTFUL, [600, 300], InstanceMode.ROUTE, 2, False),
        (Hearing.DOUBTFUL, [1_500, 300], InstanceMode.ROUTE, 2, True),
        (Hearing.DOUBTFUL, [], InstanceMode.ROUTE, 0, False),
        (Hearing.DOUBTFUL, [], InstanceMode.OBSERVE, 2, False),
        (Hearing.HEARING, [], InstanceMode.ROUTE, 2, False),
        (Hearing.DEAF, [], InstanceMode.ROUTE, 2, False),
    ],
)
def test_only_a_doubtful_one_and_only_so_often(
    hearing: Hearing, ago_min: list[int], mode: InstanceMode, per_day: int, due: bool
) -> None:
    probes = [NOW - timedelta(minutes=each) for each in ago_min]
    assert probing.is_due(hearing, probes, NOW, mode=mode, per_day=per_day) is due


def test_one_that_stays_unacknowledged_speaks_against_it_and_two_more_so() -> None:
    one = judgment.judge(PROBED, NOW)
    assert (one.hearing, one.shows) == (Hearing.DOUBTFUL, {Shows.PROBE})
    assert "sent to itself" in one.reason
    earlier = (NOW - timedelta(minutes=26), NOW - timedelta(minutes=16), *PROBED.probes)
    assert judgment.judge(replace(PROBED, probes=earlier), NOW).hearing is Hearing.DEAF


@pytest.mark.parametrize(
    "known",
    [
        replace(PROBED, probes=(NOW - timedelta(minutes=4),)),
        replace(PROBED, outgoing=Outgoing((), NOW - timedelta(minutes=1), 0.97)),
        replace(PROBED, outgoing=Outgoing((), None, 0.3)),
        replace(PROBED, outgoing=Outgoing((), None, None)),
        replace(PROBED, since_at=NOW - timedelta(minutes=5)),
    ],
    ids=["too early", "acknowledged", "seldom acknowledged", "not known", "before it was tried"],
)
def test_it_says_nothing_too_early_or_where_acknowledgements_are_not_usual(known: HeardOf) -> None:
    assert judgment.judge(known, NOW).hearing is Hearing.HEARING

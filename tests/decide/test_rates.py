"""A token bucket: all at once, then evenly, and one that is empty costs the others nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.access.rates import Bucket, Charge, charge
from homing.model.directory.access import RateLimit

TEN_A_MINUTE = RateLimit(10, 60)


def charged(limit: RateLimit, bucket: Bucket | None, now_s: float) -> Charge:
    return charge([("key", limit, bucket)], now_s)


def test_the_whole_quota_may_come_at_once_and_no_more() -> None:
    bucket = None
    for left in range(9, -1, -1):
        result = charged(TEN_A_MINUTE, bucket, 0.0)
        assert result.refused_by is None
        assert result.levels[0].left == left
        bucket = result.levels[0].bucket
    refused = charged(TEN_A_MINUTE, bucket, 0.0)
    assert refused.refused_by is not None
    assert (refused.refused_by.left, refused.refused_by.next_in_s, refused.refused_by.full_in_s) == (0, 6.0, 60)


def test_one_comes_back_after_its_part_of_the_time() -> None:
    empty = Bucket(0.0, 0.0)
    assert charged(TEN_A_MINUTE, empty, 5.9).refused_by is not None
    assert charged(TEN_A_MINUTE, empty, 6.0).refused_by is None


def test_whoever_asks_on_while_refused_waits_no_longer_for_it() -> None:
    bucket = Bucket(0.0, 0.0)
    for now_s in (1.0, 2.0, 3.0, 4.0, 5.0):
        bucket = charged(TEN_A_MINUTE, bucket, now_s).levels[0].bucket
    assert charged(TEN_A_MINUTE, bucket, 6.0001).refused_by is None


def test_a_bucket_fills_up_to_its_quota_and_no_further() -> None:
    assert charged(TEN_A_MINUTE, Bucket(0.0, 0.0), 1e6).levels[0].left == 9


def test_of_two_limits_both_are_charged_or_neither() -> None:
    small, large = RateLimit(1, 60), RateLimit(10, 60)
    first = charge([("key", small, None), ("workspace", large, None)], 0.0)
    assert [level.left for level in first.levels] == [0, 9]
    second = charge([(level.name, level.limit, level.bucket) for level in first.levels], 0.0)
    assert second.refused_by is not None
    assert second.refused_by.name == "key"
    assert [level.left for level in second.levels] == [0, 9], "the workspace is not charged for what its key may not"


def test_the_one_that_takes_longest_is_what_is_told() -> None:
    both = charge([("key", RateLimit(1, 1), Bucket(0, 0)), ("workspace", RateLimit(1, 60), Bucket(0, 0))], 0.0)
    assert both.refused_by is not None
    assert both.refused_by.name == "workspace"


def test_a_clock_that_seems_to_stand_still_gives_nothing_back() -> None:
    assert charged(TEN_A_MINUTE, Bucket(0.0, 100.0), 50.0).refused_by is not None


@given(
    st.integers(1, 50),
    st.integers(1, 100),
    st.lists(st.floats(0, 30, allow_nan=False), max_size=200),
)
def test_in_no_stretch_of_time_more_pass_than_the_quota_and_what_came_back(
    requests: int, per_s: int, pauses: list[float]
) -> None:
    limit, bucket, now_s, passed = RateLimit(requests, per_s), None, 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        result = charged(limit, bucket, now_s)
        bucket = result.levels[0].bucket
        passed += result.refused_by is None
    assert passed <= requests + now_s * requests / per_s + 1e-6


@pytest.mark.parametrize("limit", [RateLimit(1, 86_400), RateLimit(1_000_000, 1), RateLimit(3, 7)])
def test_who_waits_as_long_as_he_is_told_is_answered(limit: RateLimit) -> None:
    refused = charged(limit, Bucket(0.0, 0.0), 0.0).refused_by
    assert refused is not None
    assert charged(limit, refused.bucket, refused.next_in_s + 1e-6).refused_by is None

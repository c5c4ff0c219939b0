"""How many sessions may be started on an instance within a minute, and when the next one's turn comes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.starting import start_rate
from homing.drivers.registry import families
from homing.model.fleet import Instance, InstanceUrl
from homing.model.instances.gateways import Traits

A = Instance(1, InstanceUrl("http://a:3001"), driver="waha")
WAHA, QUICK = Traits("WAHA", starts_per_min=6), Traits("wuzapi")


@pytest.mark.parametrize(
    ("label", "traits", "per_min"),
    [
        (None, WAHA, 6),
        (None, QUICK, None),
        ("20", WAHA, 20),
        ("4", QUICK, 4),
        ("none", WAHA, None),
        ("many", WAHA, 6),
        ("0", WAHA, 6),
    ],
)
def test_an_instances_label_counts_before_its_family(label: str | None, traits: Traits, per_min: int | None) -> None:
    instance = A if label is None else replace(A, labels={"starts_per_min": label})
    assert start_rate.of(instance, traits) == per_min


def test_of_one_that_nobody_knows_its_familys_rate_counts() -> None:
    assert start_rate.of(None, WAHA) == 6


@pytest.mark.parametrize("said", ["0", "-1", "1.5", "6001", "many", "", "٣", "1" * 400])
def test_a_rate_that_nobody_could_keep_to_is_refused(said: str) -> None:
    assert "starts_per_min is a whole number" in (start_rate.wrong_with({"starts_per_min": said}) or "")


@pytest.mark.parametrize("labels", [{}, {"region": "eu"}, {"starts_per_min": "1"}, {"starts_per_min": "none"}])
def test_no_rate_and_one_that_can_be_kept_are_taken(labels: dict[str, str]) -> None:
    assert start_rate.wrong_with(labels) is None


def test_the_next_turn_comes_when_a_minute_is_over_since_the_first_of_as_many() -> None:
    assert start_rate.wait_s([50.0, 10.0], 3) == 0.0
    assert start_rate.wait_s([50.0, 10.0, 2.0], 3) == 10.0
    assert start_rate.wait_s([70.0, 50.0, 10.0], 3) == 0.0


@given(st.lists(st.floats(0, 120), max_size=20), st.integers(1, 10))
def test_whoever_waits_as_long_as_is_said_finds_fewer_than_the_rate(ago_s: list[float], per_min: int) -> None:
    wait_s = start_rate.wait_s(ago_s, per_min)
    then = [each + wait_s + 1e-6 for each in ago_s]
    assert sum(each < start_rate.WINDOW_S for each in then) < per_min


def test_families_whose_sessions_are_browsers_or_slow_to_come_up_have_a_rate() -> None:
    rated = {name for name, driver in families().items() if driver.traits.starts_per_min is not None}
    assert rated == {"waha", "wppconnect", "wwebjs-api"}

"""When everything looks sick at once, nothing is moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.fleet.brake import Brake, BrakePolicy, Clear, Engaged, JudgedInstance, brake
from homing.model.fleet import InstanceUrl
from homing.model.instances.health import HealthState

POLICY = BrakePolicy()
NOW_S = 1000.0


def well(count: int, version: str | None = "1", emptied: bool = False) -> list[JudgedInstance]:
    return [
        JudgedInstance(InstanceUrl(f"http://well{n}:{version}"), HealthState.HEALTHY, None, emptied, version)
        for n in range(count)
    ]


def ill(
    count: int,
    ago_s: float = 2.0,
    version: str | None = "1",
    emptied: bool = False,
    state: HealthState = HealthState.SUSPECT,
) -> list[JudgedInstance]:
    return [
        JudgedInstance(InstanceUrl(f"http://ill{n}:{version}"), state, NOW_S - ago_s, emptied, version)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("sick", "of", "engaged"),
    [(30, 100, False), (50, 100, False), (51, 100, True), (60, 100, True), (2, 3, False), (3, 4, True), (3, 6, False)],
)
def test_it_takes_more_than_half_and_at_least_three(sick: int, of: int, engaged: bool) -> None:
    found = brake([*ill(sick), *well(of - sick)], NOW_S, POLICY)
    assert isinstance(found, Engaged) is engaged


def test_it_says_the_numbers() -> None:
    found = brake([*ill(60), *well(40)], NOW_S, POLICY)
    assert found.reason.startswith("60 of 100 instances are suspect or down at once")
    assert brake([*ill(2), *well(8)], NOW_S, POLICY).reason == "2 of 10 instances became suspect or down lately"
    assert brake([], NOW_S, POLICY) == Clear("no instance holds a session")


def test_what_fell_ill_long_ago_is_no_sudden_trouble() -> None:
    assert isinstance(brake([*ill(40, ago_s=31.0), *ill(20), *well(40)], NOW_S, POLICY), Clear)
    assert isinstance(brake([*ill(60, ago_s=30.0), *well(40)], NOW_S, POLICY), Engaged)


def test_suspect_or_down_is_the_same_to_it() -> None:
    assert isinstance(brake([*ill(2), *ill(1, state=HealthState.DOWN), *well(1)], NOW_S, POLICY), Engaged)


def test_emptied_instances_count_neither_as_ill_nor_as_instances() -> None:
    assert isinstance(brake([*ill(60, emptied=True), *well(40)], NOW_S, POLICY), Clear)
    assert isinstance(brake([*ill(3), *well(2), *well(40, version="2", emptied=True)], NOW_S, POLICY), Engaged)


@pytest.mark.parametrize(
    ("sick", "sound", "engaged"),
    [
        (ill(3, version="2"), well(10, version="1"), True),
        (ill(2, version="2"), well(10, version="1"), False),
        (ill(3, version="2"), [*well(10, version="1"), *well(1, version="2")], False),
        (ill(3, version=None), well(10, version="1"), False),
        (ill(3, version="2"), well(10, version=None), False),
    ],
    ids=["all of one version", "too few", "one of it is well", "no version known", "no other version known"],
)
def test_all_of_one_engine_version_while_another_is_well_is_the_version(
    sick: list[JudgedInstance], sound: list[JudgedInstance], engaged: bool
) -> None:
    found = brake([*sick, *sound], NOW_S, POLICY)
    assert isinstance(found, Engaged) is engaged
    if engaged:
        assert found.reason == "all 3 instances of engine version 2 are suspect or down, and others are well"


def test_it_holds_for_as_long_as_so_many_are_ill_and_ten_seconds_more() -> None:
    held: Brake = brake([*ill(60), *well(40)], NOW_S, POLICY)
    held = brake([*ill(60, ago_s=300.0), *well(40)], NOW_S + 300, POLICY, held)
    assert isinstance(held, Engaged)
    assert held.since_s == NOW_S
    better = [*ill(20), *well(80)]
    held = brake(better, NOW_S + 309, POLICY, held)
    assert isinstance(held, Engaged)
    assert held.reason.endswith("(not so for 9 s)")
    assert isinstance(brake(better, NOW_S + 310, POLICY, held), Clear)


def test_a_relapse_within_the_ten_seconds_begins_them_anew() -> None:
    held: Brake = brake([*ill(3), *well(1)], NOW_S, POLICY)
    held = brake(well(4), NOW_S + 9, POLICY, held)
    held = brake([*ill(3, ago_s=-10.0), *well(1)], NOW_S + 10, POLICY, held)
    assert isinstance(brake(well(4), NOW_S + 19, POLICY, held), Engaged)
    assert isinstance(brake(well(4), NOW_S + 20, POLICY, held), Clear)


def test_a_reason_that_is_kept_for_a_while_does_not_grow() -> None:
    held: Brake = brake([*ill(3), *well(1)], NOW_S, POLICY)
    for later_s in (1, 2, 3):
        held = brake(well(4), NOW_S + later_s, POLICY, held)
    assert held.reason.count("not so for") == 1


fleet = st.lists(
    st.builds(
        JudgedInstance,
        url=st.just(InstanceUrl("http://a:1")),
        state=st.sampled_from(list(HealthState)),
        unwell_since_s=st.floats(NOW_S - 100, NOW_S),
        emptied=st.booleans(),
        engine_version=st.sampled_from([None, "1", "2"]),
    ),
    max_size=12,
)


@given(seen=fleet, more=st.integers(1, 5))
def test_more_that_are_well_never_engage_by_number(seen: list[JudgedInstance], more: int) -> None:
    by_number = BrakePolicy()
    nameless = [JudgedInstance(each.url, each.state, each.unwell_since_s, each.emptied) for each in seen]
    if isinstance(brake(nameless, NOW_S, by_number), Clear):
        assert isinstance(brake([*nameless, *well(more, version=None)], NOW_S, by_number), Clear)


@given(seen=fleet)
def test_once_engaged_it_is_never_quicker_to_let_go_than_it_was_to_hold(seen: list[JudgedInstance]) -> None:
    first = brake(seen, NOW_S, POLICY)
    if isinstance(first, Engaged):
        assert isinstance(brake(seen, NOW_S + 1000, POLICY, first), Engaged)

"""Where a session should live."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.fleet import placement
from homing.decide.fleet.capacity import Load
from homing.decide.fleet.placement import Chosen, NoRoom, PlacementRequest
from homing.model.fleet import Instance, InstanceState, InstanceUrl, SessionId

A, B, C = (InstanceUrl(f"http://i{number}:1") for number in (1, 2, 3))


def load(
    number: int, sessions: int, capacity: int | None = None, state: InstanceState = InstanceState.ACTIVE, **labels: str
) -> Load:
    at = Instance(number, InstanceUrl(f"http://i{number}:1"), state=state, capacity=capacity, labels=labels)
    return Load(at, sessions)


def limited(at: Load, *, memory: tuple[float, float] | None = None, rate: tuple[float, float] | None = None) -> Load:
    """The same, with a part of a limit used."""
    if memory is not None:
        at = replace(at, memory_mb=memory[0], instance=replace(at.instance, memory_limit_mb=memory[1]))
    if rate is not None:
        at = replace(at, sends_per_s=rate[0], instance=replace(at.instance, sends_limit_per_s=rate[1]))
    return at


def wanted(count: int, **requires: str) -> list[PlacementRequest]:
    return [PlacementRequest(SessionId(f"s{number}"), requires) for number in range(count)]


# --- one session ----------------------------------------------------------------------------------------------


def test_a_session_goes_to_the_least_used_instance() -> None:
    chosen = placement.choose([load(1, 3), load(2, 1), load(3, 1)])
    assert isinstance(chosen, Chosen)
    assert chosen.instance.id == 2
    assert chosen.reason == "http://i2:1 is the least used of 3 that may hold it: 1 session"


def test_full_draining_and_silent_instances_take_nothing_and_are_named() -> None:
    loads = [load(1, 5, capacity=5), load(2, 0, state=InstanceState.DRAINING), load(3, 0)]
    refused = placement.choose(loads, unfit={C: "does not answer"})
    assert isinstance(refused, NoRoom)
    assert refused.reason == "http://i1:1 is full (5 of 5); http://i2:1 is draining; http://i3:1 does not answer"
    assert placement.choose([]) == NoRoom("no instance is known")


@pytest.mark.parametrize(
    ("loads", "chosen", "numbers"),
    [
        ([load(1, 30, capacity=100), load(2, 20, capacity=50)], A, "30 of 100"),
        ([limited(load(1, 1), memory=(900, 1000)), load(2, 5)], B, "5 sessions"),
        ([limited(load(1, 1), rate=(9, 10)), limited(load(2, 5), rate=(2, 10))], B, "2.0 of 10 sends/s"),
        ([limited(load(1, 1), memory=(1000, 1000)), limited(load(2, 9), rate=(9, 10))], B, "9.0 of 10 sends/s"),
    ],
    ids=["by the part of its capacity", "by memory", "by send rate", "by whichever is used most"],
)
def test_an_instance_is_as_used_as_what_it_has_least_of(loads: list[Load], chosen: InstanceUrl, numbers: str) -> None:
    found = placement.choose(loads)
    assert isinstance(found, Chosen)
    assert found.instance.url == chosen
    assert found.reason.endswith(f": {numbers}")


def test_what_is_forecast_counts_if_it_is_more_than_what_was_measured() -> None:
    rising = replace(limited(load(1, 1), rate=(1, 10)), forecast_sends_per_s=9.0)
    found = placement.choose([rising, limited(load(2, 5), rate=(4, 10))])
    assert isinstance(found, Chosen)
    assert found.instance.url == B


def test_every_limit_that_is_reached_is_named() -> None:
    loads = [limited(load(1, 1), memory=(512, 512)), limited(load(2, 1), rate=(50, 50)), load(3, 7, capacity=7)]
    assert placement.choose(loads) == NoRoom(
        "http://i1:1 is full (512 of 512 MB); http://i2:1 is full (50.0 of 50 sends/s); http://i3:1 is full (7 of 7)"
    )


def test_every_label_that_is_required_must_be_the_instances() -> None:
    loads = [load(1, 0), load(2, 0, region="us"), load(3, 9, region="eu", proxy="p1")]
    found = placement.choose(loads, requires={"region": "eu"})
    assert isinstance(found, Chosen)
    assert found.instance.url == C
    refused = placement.choose(loads, requires={"region": "eu", "proxy": "p2"})
    assert refused == NoRoom(
        "http://i1:1 has no proxy=p2; http://i2:1 has no proxy=p2; http://i3:1 has proxy=p1, not p2"
    )


def test_where_it_lived_wins_while_the_difference_is_small() -> None:
    loads = [load(1, 29, capacity=100), load(2, 20, capacity=100)]
    stays = placement.choose(loads, current=A)
    assert isinstance(stays, Chosen)
    assert stays.instance.url == A
    assert stays.reason == "it lived on http://i1:1 before, and no other is used much less: 29 of 100"
    for uneven in ([load(1, 31, capacity=100), loads[1]], [load(1, 0, state=InstanceState.DRAINING), loads[1]]):
        moves = placement.choose(uneven, current=A)
        assert isinstance(moves, Chosen)
        assert moves.instance.url == B


def test_what_leaves_an_instance_does_not_come_back_to_it() -> None:
    leaving = PlacementRequest(SessionId("s"), from_url=A, leaves=True)
    found = placement.choose_all([leaving], [load(1, 0), load(2, 9)])[SessionId("s")]
    assert isinstance(found, Chosen)
    assert found.instance.url == B
    alone = placement.choose_all([leaving], [load(1, 0)])[SessionId("s")]
    assert alone == NoRoom("http://i1:1 is what it leaves")


@pytest.mark.parametrize(
    ("loads", "answer"),
    [
        ([load(1, 0), load(2, 9)], "http://i2:1 was asked for: 9 sessions"),
        ([load(1, 0), load(2, 9, capacity=9)], "http://i2:1 is full (9 of 9)"),
        ([load(1, 0)], "http://i2:1 is no instance that we know"),
    ],
)
def test_an_operators_target_is_taken_or_refused_and_no_other_chosen(loads: list[Load], answer: str) -> None:
    found = placement.choose_all([PlacementRequest(SessionId("s"), to_url=B)], loads)[SessionId("s")]
    assert found.reason == answer


# --- many sessions --------------------------------------------------------------------------------------------


def test_what_was_just_placed_counts_in_memory_and_rate_too() -> None:
    loads = [
        limited(load(1, 10), memory=(100, 150), rate=(0, 8)),
        limited(load(2, 10), memory=(100, 1000), rate=(0, 8)),
    ]
    asked = [replace(each, sends_per_s=1.0) for each in wanted(20)]
    chosen = placement.choose_all(asked, loads)
    found = Counter(each.instance.url if isinstance(each, Chosen) else None for each in chosen.values())
    assert found == {A: 5, B: 8, None: 7}


def test_ten_thousand_sessions_of_thirty_instances_find_room_on_seventy() -> None:
    loads = [load(number, 100, capacity=250) for number in range(1, 71)]
    chosen = placement.choose_all(wanted(10_000), loads)
    found = Counter(each.instance.url for each in chosen.values() if isinstance(each, Chosen))
    assert (min(found.values()), max(found.values())) == (142, 143)
    more = placement.choose_all(wanted(11_000), loads)
    assert sum(isinstance(each, NoRoom) for each in more.values()) == 500


fleets = st.lists(
    st.builds(
        lambda sessions, capacity, state, region, memory, rate: limited(
            load(0, sessions, capacity, state, **({"region": region} if region else {})), memory=memory, rate=rate
        ),
        sessions=st.integers(0, 12),
        capacity=st.one_of(st.none(), st.integers(0, 20)),
        state=st.sampled_from([InstanceState.ACTIVE, InstanceState.ACTIVE, InstanceState.DRAINING]),
        region=st.sampled_from([None, "eu", "us"]),
        memory=st.one_of(st.none(), st.tuples(st.floats(0, 100), st.floats(1, 100))),
        rate=st.one_of(st.none(), st.tuples(st.floats(0, 10), st.floats(1, 10))),
    ),
    max_size=6,
).map(
    lambda loads: [
        replace(each, instance=replace(each.instance, id=number, url=InstanceUrl(f"http://i{number}:1")))
        for number, each in enumerate(loads, start=1)
    ]
)
asked = st.lists(
    st.builds(
        PlacementRequest,
        session_id=st.just(SessionId("")),
        requires=st.sampled_from([{}, {"region": "eu"}, {"region": "us"}]),
        from_url=st.sampled_from([None, A, B]),
        leaves=st.booleans(),
        sends_per_s=st.sampled_from([0.0, 0.5, 3.0]),
    ),
    max_size=25,
).map(lambda all_: [replace(each, session_id=SessionId(f"s{number}")) for number, each in enumerate(all_)])


@given(loads=fleets, sessions=asked, sick=st.sets(st.sampled_from([A, B, C])))
def test_no_limit_is_passed_no_label_is_missed_and_the_answer_is_always_the_same(
    loads: list[Load], sessions: list[PlacementRequest], sick: set[InstanceUrl]
) -> None:
    unfit = dict.fromkeys(sick, "is down")
    chosen = placement.choose_all(sessions, loads, unfit=unfit)
    assert chosen == placement.choose_all(sessions, loads, unfit=unfit)
    carried = {each.instance.url: each for each in loads}
    for each in sessions:
        found = chosen[each.session_id]
        if isinstance(found, NoRoom):
            assert all(url in found.reason for url in carried)
            continue
        url = found.instance.url
        at = carried[url] = replace(
            carried[url],
            sessions=carried[url].sessions + 1,
            sends_per_s=carried[url].sends_per_s + each.sends_per_s,
        )
        assert url not in sick
        assert not (each.leaves and each.from_url == url)
        assert at.instance.state is InstanceState.ACTIVE
        assert each.requires.items() <= at.instance.labels.items()
        assert at.instance.capacity is None or at.sessions <= at.instance.capacity
        assert at.instance.sends_limit_per_s is None or at.sends_per_s <= at.instance.sends_limit_per_s
        assert any(character.isdigit() for character in found.reason.removeprefix(url))


@given(count=st.integers(0, 60), instances=st.integers(1, 7), capacity=st.sampled_from([None, 100]))
def test_many_sessions_are_spread_evenly_within_one(count: int, instances: int, capacity: int | None) -> None:
    loads = [load(number, 0, capacity) for number in range(1, instances + 1)]
    chosen = placement.choose_all(wanted(count), loads)
    found = Counter(each.instance.url for each in chosen.values() if isinstance(each, Chosen))
    counts = [found[each.instance.url] for each in loads]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == count


@given(had=st.lists(st.integers(0, 30), min_size=1, max_size=6), count=st.integers(0, 40))
def test_the_emptiest_are_filled_first(had: list[int], count: int) -> None:
    loads = [load(number, sessions) for number, sessions in enumerate(had, start=1)]
    chosen = placement.choose_all(wanted(count), loads)
    found = Counter(each.instance.url for each in chosen.values() if isinstance(each, Chosen))
    after = {each.instance.url: each.sessions + found[each.instance.url] for each in loads}
    assert all(after[url] <= min(after.values()) + 1 for url in found)


# --- forecast -------------------------------------------------------------------------------------------------

rates = st.lists(st.tuples(st.floats(0.1, 30.0), st.floats(0.0, 100.0)), min_size=1, max_size=20)


def at_times(steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    at_s, samples = 0.0, []
    for pause_s, rate in steps:
        at_s += pause_s
        samples.append((at_s, rate))
    return samples


def test_without_samples_nothing_is_expected() -> None:
    assert placement.forecast([], 100.0) == 0.0


def test_one_sample_is_all_that_is_known() -> None:
    assert placement.forecast([(100.0, 4.0)], 100.0) == 4.0
    assert placement.forecast([(40.0, 4.0)], 100.0) == 4.0


def test_a_rate_of_a_half_life_ago_counts_half() -> None:
    samples = [(0.0, 9.0), (60.0, 0.0)]
    assert placement.forecast(samples, 120.0, half_life_s=60.0) == pytest.approx(9.0 * 0.25 / 0.75)


@given(steps=rates, later_s=st.floats(0.0, 1e6))
def test_a_forecast_lies_within_what_was_measured(steps: list[tuple[float, float]], later_s: float) -> None:
    samples = at_times(steps)
    found = placement.forecast(samples, samples[-1][0] + later_s, half_life_s=10.0)
    measured = [rate for _, rate in samples]
    assert min(measured) - 1e-6 <= found <= max(measured) + 1e-6


@given(steps=rates, at=st.integers(0, 19), more=st.floats(0.0, 50.0))
def test_more_load_is_never_a_lower_forecast(steps: list[tuple[float, float]], at: int, more: float) -> None:
    samples = at_times(steps)
    now_s, at = samples[-1][0] + 1.0, at % len(samples)
    higher = [(at_s, rate + more if number == at else rate) for number, (at_s, rate) in enumerate(samples)]
    assert placement.forecast(higher, now_s) >= placement.forecast(samples, now_s) - 1e-9


@given(count=st.integers(2, 20), more=st.floats(1.0, 50.0))
def test_what_was_measured_lately_counts_more(count: int, more: float) -> None:
    def raised(number: int) -> float:
        samples = [(float(at), 5.0 + (more if at == number else 0.0)) for at in range(count)]
        return placement.forecast(samples, float(count))

    forecasts = [raised(number) for number in range(count)]
    assert forecasts == sorted(forecasts)


# --- logins ---------------------------------------------------------------------------------------------------


def test_rather_than_wait_for_its_turn_a_session_goes_where_it_can_log_in_at_once() -> None:
    loads = [load(1, 0), load(2, 30), load(3, 30)]
    chosen = placement.choose_all(wanted(34), loads, logins={A: 20, B: 20, C: 20})
    assert _counted(chosen) == {A: 20, B: 7, C: 7}
    last = chosen[SessionId("s33")]
    assert isinstance(last, Chosen)
    assert last.reason == (
        "http://i3:1 can log it in at once, and http://i1:1, which is used less, cannot: 36 sessions"
    )


def test_where_nobody_has_a_turn_left_sessions_wait_where_there_is_most_room() -> None:
    loads = [load(1, 0), load(2, 30)]
    assert _counted(placement.choose_all(wanted(9), loads, logins={A: 2, B: 2})) == {A: 7, B: 2}
    assert _counted(placement.choose_all(wanted(3), loads, logins={A: 0, B: 0})) == {A: 3}
    assert _counted(placement.choose_all(wanted(3), loads)) == {A: 3}


def test_an_instance_that_can_log_in_is_chosen_only_if_it_is_fit_and_has_room() -> None:
    loads = [load(1, 0), load(2, 5, capacity=5), load(3, 9)]
    chosen = placement.choose_all(wanted(3), loads, unfit={C: "is down"}, logins={A: 1, B: 9, C: 9})
    assert _counted(chosen) == {A: 3}


def _counted(chosen: dict[SessionId, Chosen | NoRoom]) -> dict[InstanceUrl, int]:
    return dict(Counter(each.instance.url for each in chosen.values() if isinstance(each, Chosen)))

"""What moves from instances that have more than their share."""

from collections import Counter
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.fleet.capacity import Load
from homing.decide.moves.rebalance import Plan, RebalancePolicy, rebalance
from homing.decide.moves.rules import Resident
from homing.model.fleet import Instance, InstanceState, InstanceUrl, SessionId, SessionStatus, Takeover

POLICY = RebalancePolicy()
A, B, C = (InstanceUrl(f"http://{name}") for name in "abc")


def load(url: InstanceUrl, sessions: int, capacity: int | None = None, **labels: str) -> Load:
    return Load(Instance(ord(url[-1]), url, capacity=capacity, labels=labels), sessions)


def on(url: InstanceUrl, count: int) -> list[Resident]:
    """Sessions of that instance, the first one the longest idle."""
    return [Resident(SessionId(f"{url[-1]}{number:02}"), url, idle_s=1000.0 - number) for number in range(count)]


def test_what_is_above_its_share_moves_to_where_there_is_room_the_longest_idle_first() -> None:
    plan = rebalance([load(A, 40), load(B, 16)], [*on(A, 40), *on(B, 16)], POLICY)
    assert len(plan.moves) == 12
    assert [move.session_id for move in plan.moves] == [f"a{number:02}" for number in range(12)]
    assert [move.order for move in plan.moves] == list(range(1, 13))
    first = plan.moves[0]
    assert (first.from_url, first.to_url, first.expected_gap_ms) == (A, B, 500)
    assert first.why == "http://a has 40 sessions, 12 more than its share of 28; http://b has room (16 of 28)"
    assert plan.reason == "12 moves, after which each of 2 instances has its share"


def test_within_the_tolerance_everything_stays_where_it_is() -> None:
    plan = rebalance([load(A, 22), load(B, 18)], [*on(A, 22), *on(B, 18)], POLICY)
    assert plan == Plan((), (), "nothing to move: each of 2 instances is within 10 % of its share")


def test_shares_are_by_capacity() -> None:
    plan = rebalance([load(A, 40, capacity=300), load(B, 20, capacity=100)], [*on(A, 40), *on(B, 20)], POLICY)
    assert {(move.from_url, move.to_url) for move in plan.moves} == {(B, A)}
    assert len(plan.moves) == 5


def test_a_share_of_less_than_one_session_is_not_filled_with_a_whole_one() -> None:
    loads = [load(A, 8, capacity=100), load(B, 0, capacity=4), load(C, 4, capacity=96)]
    plan = rebalance(loads, [*on(A, 8), *on(C, 4)], POLICY)
    assert [(move.from_url, move.to_url) for move in plan.moves] == [(A, C)] * 2


def test_the_gap_is_what_was_measured_at_the_target() -> None:
    plan = rebalance([load(A, 4), load(B, 0)], on(A, 4), POLICY, gaps_ms={B: 310})
    assert {move.expected_gap_ms for move in plan.moves} == {310}


def test_a_draining_or_sick_instance_neither_gives_nor_takes() -> None:
    leaving = replace(load(B, 0), instance=replace(load(B, 0).instance, state=InstanceState.DRAINING))
    assert rebalance([load(A, 40), leaving], on(A, 40), POLICY).moves == ()
    assert rebalance([load(A, 40), load(B, 0)], on(A, 40), POLICY, unfit={B: "is suspect"}).moves == ()
    assert rebalance([load(A, 40), load(B, 0)], on(A, 40), POLICY, unfit={A: "is suspect"}).moves == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": SessionStatus.DISCONNECTED}, "it is not connected (disconnected)"),
        ({"status": SessionStatus.QUARANTINED}, "it is in quarantine"),
        ({"takeover": Takeover.NEVER}, "its takeover is set to never"),
        ({"moves_today": 3}, "it was moved 3 times today"),
        ({"requires": {"region": "eu"}}, "no other instance has region=eu"),
        ({"shares_credentials": False}, "its engine keeps the login to itself"),
    ],
)
def test_who_stays_is_told_why_and_another_goes_in_its_place(change: dict[str, object], reason: str) -> None:
    sessions = on(A, 10)
    sessions[0] = replace(sessions[0], **change)  # type: ignore[arg-type]
    plan = rebalance([load(A, 10, region="eu"), load(B, 0)], sessions, POLICY)
    assert [move.session_id for move in plan.moves] == ["a01", "a02", "a03", "a04", "a05"]
    assert [kept.session_id for kept in plan.skipped] == ["a00"]
    assert plan.skipped[0].reason.startswith(reason)


def test_labels_lead_a_session_past_the_emptiest_instance() -> None:
    sessions = [replace(each, requires={"region": "eu"}) for each in on(A, 12)]
    loads = [load(A, 12, region="eu"), load(B, 0, region="us"), load(C, 3, region="eu")]
    plan = rebalance(loads, sessions, POLICY)
    assert {move.to_url for move in plan.moves} == {C}
    assert len(plan.moves) == 2
    assert plan.reason == "2 moves; nothing more can leave http://a"
    assert plan.skipped[0].reason == "every other instance that may hold it is full or has its share"


def test_a_limit_of_the_target_is_kept() -> None:
    small = replace(load(B, 0), instance=replace(load(B, 0).instance, sends_limit_per_s=2.0))
    sessions = [replace(each, sends_per_s=1.0) for each in on(A, 10)]
    assert len(rebalance([load(A, 10), small], sessions, POLICY).moves) == 2


def test_one_plan_is_bounded_and_says_so() -> None:
    plan = rebalance([load(A, 40), load(B, 0)], on(A, 40), replace(POLICY, moves_max=5))
    assert len(plan.moves) == 5
    assert plan.reason == "5 moves, which is the limit of one plan; more will be wanted"


# --- what holds of every plan ---------------------------------------------------------------------------------

regions = st.sampled_from([None, "eu", "us"])
instance = st.tuples(st.one_of(st.none(), st.integers(0, 40)), st.booleans(), regions)
session = st.builds(
    Resident,
    session_id=st.just(SessionId("")),
    instance_url=st.sampled_from([A, B, C]),
    status=st.sampled_from([SessionStatus.CONNECTED] * 5 + [SessionStatus.FAILED]),
    takeover=st.sampled_from(list(Takeover)),
    requires=st.sampled_from([{}, {}, {"region": "eu"}, {"region": "us"}]),
    idle_s=st.one_of(st.none(), st.floats(0, 1e4)),
    moves_today=st.integers(0, 3),
)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Load], list[Resident]]:
    drawn = draw(st.lists(session, max_size=40))
    sessions = [replace(each, session_id=SessionId(f"s{number:02}")) for number, each in enumerate(drawn)]
    counts = Counter(each.instance_url for each in sessions)
    loads = []
    for url in (A, B, C):
        capacity, drains, region = draw(instance)
        at = load(url, counts[url], capacity, **({"region": region} if region else {}))
        state = InstanceState.DRAINING if drains and url == C else InstanceState.ACTIVE
        loads.append(replace(at, instance=replace(at.instance, state=state)))
    return loads, sessions


def carried_out(plan: Plan, loads: list[Load], sessions: list[Resident]) -> tuple[list[Load], list[Resident]]:
    to = {move.session_id: move.to_url for move in plan.moves}
    moved = [
        replace(each, instance_url=to[each.session_id], moves_today=each.moves_today + 1)
        if each.session_id in to
        else each
        for each in sessions
    ]
    counts = Counter(each.instance_url for each in moved)
    return [replace(each, sessions=counts[each.instance.url]) for each in loads], moved


def unevenness(loads: list[Load]) -> float:
    """The difference between the fullest and the emptiest, in parts of what each is compared as."""
    nominal = max((each.instance.capacity or 0 for each in loads), default=0) or 1000
    active = [each for each in loads if each.instance.state is InstanceState.ACTIVE]
    sizes = [(each.sessions, nominal if each.instance.capacity is None else each.instance.capacity) for each in active]
    if any(sessions and not size for sessions, size in sizes):
        return inf
    parts = [sessions / size for sessions, size in sizes if size]
    return max(parts, default=0.0) - min(parts, default=0.0)


@given(fleet=fleets(), moves_max=st.integers(0, 40))
def test_a_plan_moves_within_bounds_keeps_all_and_makes_nothing_less_even(
    fleet: tuple[list[Load], list[Resident]], moves_max: int
) -> None:
    loads, sessions = fleet
    plan = rebalance(loads, sessions, replace(POLICY, moves_max=moves_max))
    after, moved = carried_out(plan, loads, sessions)
    assert len(plan.moves) <= moves_max
    assert len({move.session_id for move in plan.moves}) == len(plan.moves)
    assert sum(each.sessions for each in after) == len(moved) == len(sessions)
    assert unevenness(after) <= unevenness(loads) + 1e-9
    at = {each.instance.url: each.instance for each in loads}
    by_id = {each.session_id: each for each in sessions}
    for move in plan.moves:
        each, target = by_id[move.session_id], at[move.to_url]
        assert each.instance_url == move.from_url != move.to_url
        assert each.status is SessionStatus.CONNECTED
        assert each.takeover is not Takeover.NEVER
        assert each.moves_today < 3
        assert each.requires.items() <= target.labels.items()
        assert InstanceState.DRAINING not in (target.state, at[move.from_url].state)
        assert target.capacity is None or {a.instance.url: a.sessions for a in after}[move.to_url] <= target.capacity
    idle = [by_id[move.session_id].idle_s or 0.0 for move in plan.moves]
    assert idle == sorted(idle, reverse=True)


@given(fleet=fleets(), stopped_after=st.integers(0, 40))
def test_a_plan_that_stops_half_way_leaves_nothing_less_even_either(
    fleet: tuple[list[Load], list[Resident]], stopped_after: int
) -> None:
    loads, sessions = fleet
    plan = rebalance(loads, sessions, POLICY)
    after, _ = carried_out(replace(plan, moves=plan.moves[:stopped_after]), loads, sessions)
    assert unevenness(after) <= unevenness(loads) + 1e-9


@given(fleet=fleets())
def test_a_plan_that_was_carried_out_leaves_nothing_to_plan(fleet: tuple[list[Load], list[Resident]]) -> None:
    loads, sessions = fleet
    plan = rebalance(loads, sessions, POLICY)
    assert rebalance(loads, sessions[::-1], POLICY) == plan
    assert rebalance(*carried_out(plan, loads, sessions), POLICY).moves == ()

"""Whether an instance is well, in doubt, or gone."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.fleet import health
from homing.decide.fleet.health import KEPT
from homing.model.instances.health import (
    Beat,
    CallObservation,
    Gone,
    HealthHistory,
    HealthJudgment,
    HealthState,
    Local,
    Signal,
    Stall,
)
from homing.model.instances.leases import Ended
from homing.model.sends.faults import Phase
from tests.decide.health_world import POLICY, STEADY, Simulated, Trouble, beat, calm, history

ANSWERED, REFUSED, SILENT, BROKEN = Signal.ANSWERED, Signal.REFUSED, Signal.SILENT, Signal.BROKEN
HEALTHY, SUSPECT, DOWN = HealthState.HEALTHY, HealthState.SUSPECT, HealthState.DOWN


def judge(past: HealthHistory, reading: Beat | None, now_s: float, local: Local = STEADY) -> HealthJudgment:
    return health.judge(past, reading, local, now_s, POLICY)


# --- what proves an instance gone -----------------------------------------------------------------------------


def test_two_refusals_and_an_overdue_heartbeat_are_an_end() -> None:
    refused = history((9.0, ANSWERED), (10.0, REFUSED), (10.25, REFUSED))
    judged = judge(refused, beat(1.4, read_at_s=10.3), 10.3)
    assert (judged.state, judged.gone, judged.since_s) == (DOWN, Gone.REFUSED, 10.3)
    assert judged.reason == "it refused connections twice, 0.25 s apart, and its heartbeat is 0.30 s overdue"


@pytest.mark.parametrize(
    ("met", "age_s"),
    [
        ([(10.0, REFUSED)], 1.4),
        ([(10.0, REFUSED), (10.1, REFUSED)], 1.4),
        ([(10.0, REFUSED), (10.25, REFUSED)], 1.05),
        ([(10.0, REFUSED), (10.1, ANSWERED), (10.25, REFUSED)], 1.4),
        ([(10.0, REFUSED), (10.25, SILENT)], 1.4),
        ([(8.0, SILENT), (9.0, SILENT), (10.25, SILENT)], 5.9),
    ],
    ids=["once", "too close", "heartbeat in time", "answered in between", "once and silent", "silent, lease runs"],
)
def test_less_than_that_is_a_doubt_and_no_proof(met: list[tuple[float, Signal]], age_s: float) -> None:
    judged = judge(history(*met), beat(age_s, read_at_s=10.3), 10.3)
    assert (judged.state, judged.gone) == (SUSPECT, None)


def test_silence_ends_with_the_lease() -> None:
    frozen = history((4.0, ANSWERED), (6.0, SILENT), (8.0, SILENT), (10.0, SILENT))
    assert judge(frozen, beat(5.9, read_at_s=10.0), 10.0).state is SUSPECT
    judged = judge(frozen, beat(6.2, read_at_s=10.3), 10.3)
    assert (judged.state, judged.gone) == (DOWN, Gone.LAPSED)
    assert judged.reason == "its lease ran out 0.2 s ago; it was renewed 6.2 s ago"


def test_a_lapsed_lease_ends_it_though_it_answers() -> None:
    answering = history((9.0, ANSWERED), (10.0, ANSWERED))
    assert judge(answering, beat(6.2, read_at_s=10.0), 10.0).gone is Gone.LAPSED


@pytest.mark.parametrize(
    ("how", "reason"),
    [(Ended.EXITED, "whoever supervises it said that it exited"), (Ended.LEFT, "it stopped in order")],
)
def test_what_is_said_to_have_ended_is_down_at_once(how: Ended, reason: str) -> None:
    judged = judge(history((9.9, ANSWERED)), beat(0.1, read_at_s=10.0, ended=how), 10.0)
    assert (judged.state, judged.gone, judged.reason) == (DOWN, Gone.EXITED, reason)


def test_a_fresh_heartbeat_contradicts_silence_and_refusals_however_long() -> None:
    for signal in (SILENT, REFUSED, BROKEN):
        past = history(*[(float(at_s), signal) for at_s in range(100)])
        judged = judge(past, beat(0.4, read_at_s=100.0), 100.0)
        assert (judged.state, judged.gone) == (SUSPECT, None)
        assert "its heartbeat came 0.4 s ago" in judged.reason


@pytest.mark.parametrize(
    ("answered_ago_s", "silent_for_s", "gone"),
    [(4.2, 4.1, Gone.UNANSWERING), (0.8, 60.0, None), (60.0, 3.9, None), (None, 60.0, None)],
    ids=["nobody is answered", "others are answered", "not long enough", "it does not say"],
)
def test_a_live_instance_that_answers_nobody_is_given_up(
    answered_ago_s: float | None, silent_for_s: float, gone: Gone | None
) -> None:
    reading = beat(0.4, read_at_s=100.0)
    reading = replace(reading, incarnation=replace(reading.incarnation, answered_ago_s=answered_ago_s))
    silent = history((100.0 - silent_for_s, SILENT), (99.0, SILENT))
    assert judge(silent, reading, 100.0).gone is gone


# --- the numbers of a crash and of a freeze -------------------------------------------------------------------


@given(phase=st.floats(0.0, 1.0), refused_after=st.lists(st.floats(0.0, 4.0), max_size=60))
def test_a_crash_is_seen_at_the_first_look_after_both_signs_hold(phase: float, refused_after: list[float]) -> None:
    """Killed `phase` seconds after its last renewal; refusals come whenever somebody calls."""
    killed_s = 100.0
    calls = sorted(killed_s + after_s for after_s in refused_after)
    past = history((killed_s, ANSWERED))
    for at_s in calls:
        past = health.note(past, CallObservation(at_s, REFUSED, by_traffic=True))
        age_s = at_s - killed_s + phase
        judged = judge(past, beat(age_s, read_at_s=at_s), at_s)
        twice = at_s - calls[0] >= POLICY.refused_apart_s
        assert (judged.gone is not None) == (twice and age_s > POLICY.overdue_s)
        assert judged.state is (DOWN if judged.gone else SUSPECT)


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_is_seen_within_the_time_of_a_heartbeat_and_two_probes(seed: int) -> None:
    """Looked at as often as the judgment asks for."""
    random = Random(seed)
    killed_s, last_renewal_s = 100.0, 100.0 - random.uniform(0.0, 1.0)
    now_s = killed_s + random.uniform(0.0, 0.5)
    past = history((99.9, ANSWERED))
    while True:
        past = health.note(past, CallObservation(now_s, REFUSED))
        judged = judge(past, beat(now_s - last_renewal_s, read_at_s=now_s), now_s)
        if judged.gone is not None:
            break
        assert judged.look_again_s is not None
        now_s += judged.look_again_s
    assert now_s - max(killed_s + 0.7, last_renewal_s + POLICY.overdue_s) <= 0.06


def test_a_frozen_instance_is_doubted_after_one_probe_and_gone_with_its_lease() -> None:
    world = Simulated(Random(1), replace(calm(), its_stall_every_s=1e9))
    world.run(20.0)
    world._its_stall = Stall(world.now_s, 1e9)
    frozen_s, renewed_s = world.now_s, world._renewed_s
    world.run(40.0)
    turned = {judged.state: judged for judged in reversed(world.judged) if judged.since_s >= frozen_s}
    assert turned[SUSPECT].since_s - frozen_s <= 2.7
    assert turned[DOWN].gone is Gone.LAPSED
    assert POLICY.lease.expiry_s <= turned[DOWN].since_s - renewed_s <= POLICY.lease.expiry_s + 0.6


# --- back to health -------------------------------------------------------------------------------------------


def test_it_is_well_again_after_two_answers_in_a_row() -> None:
    past = history((10.0, SILENT), state=SUSPECT)
    states = []
    for at_s, signal in [(11.0, ANSWERED), (12.0, SILENT), (13.0, ANSWERED), (14.0, ANSWERED)]:
        past = health.note(past, CallObservation(at_s, signal))
        judged = judge(past, beat(read_at_s=at_s), at_s)
        past = health.remember(past, judged)
        states.append(judged.state)
    assert states == [SUSPECT, SUSPECT, SUSPECT, HEALTHY]
    assert past.unwell_since_s is None


def test_how_long_it_is_unwell_is_counted_from_the_first_doubt() -> None:
    past = health.remember(HealthHistory(), judge(history((10.0, SILENT)), beat(1.0, read_at_s=10.0), 10.0))
    past = health.note(past, CallObservation(10.0, SILENT))
    judged = judge(past, beat(6.1, read_at_s=15.1), 15.1)
    assert (judged.state, judged.since_s, judged.unwell_since_s) == (DOWN, 15.1, 10.0)


def test_another_boot_is_not_blamed_for_what_the_last_one_did() -> None:
    past = history((10.0, REFUSED), (10.3, REFUSED), state=DOWN)
    judged = judge(past, beat(0.2, read_at_s=11.0, began_ago_s=0.2), 11.0)
    assert (judged.state, judged.gone) == (SUSPECT, None)
    again = history((10.0, REFUSED), (10.3, REFUSED), (10.9, REFUSED), (11.2, REFUSED), state=DOWN)
    judged = judge(again, beat(1.3, read_at_s=12.1, began_ago_s=1.3), 12.1)
    assert judged.gone is Gone.REFUSED
    assert "twice, 0.30 s apart" in judged.reason


def test_an_instance_that_never_faltered_stays_well_over_a_new_boot() -> None:
    assert judge(history((10.0, REFUSED)), beat(0.1, read_at_s=10.5, began_ago_s=0.1), 10.5).state is HEALTHY


def test_a_late_heartbeat_alone_is_a_doubt_once_the_instance_has_paused_itself() -> None:
    answering = history((9.0, ANSWERED), (10.0, ANSWERED))
    assert judge(answering, beat(3.9, read_at_s=10.0), 10.0).state is HEALTHY
    judged = judge(answering, beat(4.1, read_at_s=10.0), 10.0)
    assert (judged.state, judged.reason) == (SUSPECT, "its heartbeat came 4.1 s ago: it has paused itself")


# --- what is weak ---------------------------------------------------------------------------------------------


def test_one_slow_send_or_broken_call_is_no_doubt_while_the_instance_answers() -> None:
    assert judge(history((10.0, SILENT), by_traffic=True), beat(read_at_s=10.0), 10.0).state is HEALTHY
    burst = history(*[(10.0 + n / 100, BROKEN) for n in range(50)], by_traffic=True)
    assert judge(burst, beat(read_at_s=10.5), 10.5).state is HEALTHY


def test_nothing_but_broken_calls_for_a_while_are_a_doubt() -> None:
    judged = judge(history((10.0, BROKEN), (11.5, BROKEN), (12.6, BROKEN)), beat(read_at_s=12.6), 12.6)
    assert judged.state is SUSPECT
    assert judged.reason.startswith("calls to it have been breaking off for 2.6 s")


# --- an instance without leases -------------------------------------------------------------------------------


def test_without_a_lease_nothing_proves_an_instance_gone() -> None:
    silent = history((10.0, SILENT), (11.5, SILENT))
    assert judge(silent, None, 11.5).state is SUSPECT
    longer = health.note(silent, CallObservation(13.0, SILENT))
    judged = judge(longer, None, 13.0)
    assert (judged.state, judged.gone) == (DOWN, None)
    assert judged.reason.endswith("it holds no lease, so that nothing proves it gone")


# --- when the trouble is ours ---------------------------------------------------------------------------------


def test_what_was_met_while_our_loop_stood_counts_for_nothing() -> None:
    past = history((10.0, ANSWERED), (12.1, SILENT), (12.15, REFUSED))
    stood = Local(stalls=(Stall(10.1, 12.1),))
    assert judge(past, beat(1.5, read_at_s=12.2), 12.2, stood).state is HEALTHY
    assert judge(past, beat(1.5, read_at_s=12.2), 12.2).state is SUSPECT


def test_a_slow_database_is_not_blamed_on_the_instance() -> None:
    refused = history((10.0, REFUSED), (10.25, REFUSED))
    late = beat(1.4, read_at_s=10.3)
    assert judge(refused, late, 10.3, Local(store_lag_s=0.35)).gone is None
    assert judge(refused, beat(9.0, read_at_s=10.3), 10.3, Local(store_lag_s=2.5)).gone is None
    assert judge(history(), beat(9.0, read_at_s=10.3), 10.3, Local(store_lag_s=2.5)).state is HEALTHY
    assert judge(history(), beat(6.3, read_at_s=10.3), 10.3, Local(store_lag_s=0.4)).gone is None


def test_an_old_reading_proves_nothing() -> None:
    judged = judge(history((10.0, REFUSED), (13.0, REFUSED)), beat(1.4, read_at_s=10.3), 13.0)
    assert (judged.state, judged.gone) == (SUSPECT, None)
    assert "its heartbeat was read 2.7 s ago" in judged.reason


def test_after_the_database_came_back_live_holders_renew_first() -> None:
    back = Local(store_steady_s=5.9)
    assert judge(history(), beat(65.0, read_at_s=10.0), 10.0, back).state is HEALTHY
    assert judge(history(), beat(65.0, read_at_s=10.0), 10.0, Local(store_steady_s=6.0)).gone is Gone.LAPSED
    assert health.unsettled(back, POLICY) == "we have been reading heartbeats for 5.9 s only, and a lease runs for 6 s"
    assert health.unsettled(STEADY, POLICY) is None


@pytest.mark.parametrize("seed", range(3))
def test_an_hour_of_stalls_and_lost_renewals_takes_nobody_for_gone(seed: int) -> None:
    world = Simulated(Random(seed), Trouble())
    world.run(3600.0)
    assert {judged.state for judged in world.judged} == {HEALTHY, SUSPECT}
    assert len(world._stalls) > 20


@pytest.mark.parametrize("seed", range(10))
def test_stalls_and_lost_renewals_hide_no_crash(seed: int) -> None:
    world = Simulated(Random(seed), Trouble(), dies_at_s=60.0)
    world.run(75.0)
    down = [judged for judged in world.judged if judged.state is DOWN]
    assert down
    assert 60.0 < down[0].since_s < 70.0


@pytest.mark.parametrize("seed", range(3))
def test_stalls_of_ours_alone_make_nobody_suspect(seed: int) -> None:
    world = Simulated(Random(seed), replace(Trouble(), its_stall_every_s=1e9, our_stall_every_s=5.0))
    world.run(600.0)
    assert {judged.state for judged in world.judged} == {HEALTHY}


def test_the_clock_of_our_loop_tells_when_it_stood() -> None:
    stalls = health.ticked((), 10.0, 10.3, 0.1, POLICY)
    assert stalls == ()
    assert health.ticked((), 10.0, 12.1, 0.1, POLICY) == (Stall(10.0, 12.1),)


# --- what is kept ---------------------------------------------------------------------------------------------

observations = st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from(list(Signal)), st.booleans()), max_size=3 * KEPT)


@given(steps=observations)
def test_little_is_kept_and_the_state_never_outruns_its_proof(steps: list[tuple[float, Signal, bool]]) -> None:
    now_s, past = 0.0, HealthHistory()
    for pause_s, signal, by_traffic in steps:
        now_s += pause_s
        past = health.note(past, CallObservation(now_s, signal, by_traffic))
        judged = judge(past, beat(0.5, read_at_s=now_s), now_s)
        past = health.remember(past, judged)
        assert len(past.observed) <= KEPT
        assert past.observed[-1].at_s == now_s
        assert judged.gone is None
        assert judged.state is not DOWN
        assert (judged.unwell_since_s is None) == (judged.state is HEALTHY)
        assert judged.reason


def test_a_storm_of_failing_sends_keeps_the_first_refusal() -> None:
    past = history(*[(10.0 + n / 1000, REFUSED) for n in range(5000)], by_traffic=True)
    assert len(past.observed) <= KEPT
    assert judge(past, beat(5.5, read_at_s=15.0), 15.0).gone is Gone.REFUSED


@pytest.mark.parametrize("phase", [None, *Phase])
def test_every_fault_has_its_meaning_for_the_instance(phase: Phase | None) -> None:
    signal = health.signal_of(phase)
    expected = {
        None: ANSWERED,
        Phase.REFUSED: REFUSED,
        Phase.REPLY_TIMED_OUT: SILENT,
        Phase.INTERRUPTED: BROKEN,
        Phase.UNAVAILABLE: BROKEN,
        Phase.SESSION_NOT_FOUND: ANSWERED,
        Phase.EPOCH_STALE: ANSWERED,
        Phase.UNAUTHORISED: ANSWERED,
        Phase.PATH_NOT_FOUND: None,
        Phase.NOT_ATTEMPTED: None,
        Phase.CUT_SHORT: None,
    }
    assert signal == expected.get(phase, signal)

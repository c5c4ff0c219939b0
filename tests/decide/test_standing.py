"""How sessions stand, and the sentence about all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.knowledge.standing import GROUPS, Counts, FleetConditions, Group, Standing, Tone, standing, verdict
from homing.model.alerts import AlertKind
from homing.model.fleet import PlacementState, SessionStatus

HELD, MOVING = PlacementState.HELD, PlacementState.MOVING


@pytest.mark.parametrize(
    ("status", "placement", "alerts", "word"),
    [
        (SessionStatus.CONNECTED, HELD, [], Standing.CONNECTED),
        (SessionStatus.CONNECTED, MOVING, [], Standing.MOVING),
        (SessionStatus.UNKNOWN, MOVING, [], Standing.MOVING),
        (SessionStatus.UNKNOWN, HELD, [], Standing.UNKNOWN),
        (SessionStatus.UNKNOWN, HELD, [AlertKind.LEFT_WHERE_IT_IS], Standing.WAITS),
        (SessionStatus.UNKNOWN, HELD, [AlertKind.SESSION_UNREACHABLE], Standing.WAITS),
        (SessionStatus.CONNECTED, HELD, [AlertKind.DUPLICATE_HOLDER], Standing.WAITS),
        (SessionStatus.CONNECTED, HELD, [AlertKind.DOUBTFUL], Standing.DOUBTFUL),
        (SessionStatus.PAIRING, HELD, [], Standing.WAITS),
        (SessionStatus.LOGGED_OUT, MOVING, [], Standing.LOGGED_OUT),
        (SessionStatus.QUARANTINED, HELD, [], Standing.QUARANTINED),
        (SessionStatus.STOPPED, HELD, [AlertKind.SESSION_MISSING], Standing.STOPPED),
    ],
)
def test_each_session_has_one_word(
    status: SessionStatus, placement: PlacementState, alerts: list[AlertKind], word: Standing
) -> None:
    assert standing(status, placement, alerts) is word


def test_a_session_of_another_phone_waits_for_somebody() -> None:
    assert standing(SessionStatus.CONNECTED, HELD, mismatched=True) is Standing.WAITS


@given(
    st.sampled_from(SessionStatus), st.sampled_from(PlacementState), st.sets(st.sampled_from(AlertKind)), st.booleans()
)
def test_only_what_is_connected_and_undisputed_can_send(
    status: SessionStatus, placement: PlacementState, alerts: set[AlertKind], mismatched: bool
) -> None:
    word = standing(status, placement, alerts, mismatched=mismatched)
    if GROUPS[word] is Group.CAN_SEND:
        assert status is SessionStatus.CONNECTED
        assert placement is HELD
        assert not mismatched


def counts(**of: int) -> Counts:
    return Counts(sum(of.values()), {Group(name): number for name, number in of.items()})


def test_all_well_is_said_in_one_sentence() -> None:
    told = verdict(counts(can_send=412), FleetConditions(moves_last_hour=0))
    assert (told.tone, told.says) == (Tone.OK, "All 412 sessions can send.")
    assert told.more == "Nothing moved in the last hour; nothing is yours to do."


def test_the_parts_add_up_to_those_that_cannot_send() -> None:
    told = verdict(counts(can_send=401, under_way=6, needs_you=5), FleetConditions())
    assert (told.tone, told.says) == (Tone.BAD, "11 of 412 sessions cannot send.")
    assert told.more == "Homing is bringing back 6; 5 need you."


def test_what_homing_brings_back_by_itself_is_no_alarm() -> None:
    assert verdict(counts(can_send=10, under_way=2), FleetConditions()).tone is Tone.BUSY


def test_stopped_sessions_are_told_apart() -> None:
    told = verdict(counts(can_send=10, stopped=2), FleetConditions())
    assert told.says == "All 10 sessions that should run can send."
    assert told.more.startswith("2 are stopped")


def test_with_automation_off_nobody_is_said_to_be_brought_back() -> None:
    told = verdict(counts(can_send=365, in_doubt=47), FleetConditions(automation=False))
    assert told.says == "47 of 412 sessions cannot send. Homing brings none of them back."


def test_the_brake_comes_before_the_sessions_and_the_database_before_the_brake() -> None:
    braked = FleetConditions(braked="5 of 9 instances are suspect or down at once")
    told = verdict(counts(can_send=144, in_doubt=268), braked)
    assert told.says == "Nothing is moved: 5 of 9 instances are suspect or down at once."
    assert told.more.endswith("268 of 412 sessions cannot send.")
    away = FleetConditions(braked="so much", directory_away="it did not answer")
    assert verdict(counts(can_send=1), away).says.startswith("The database is away")


@pytest.mark.parametrize("number", [0, 1])
def test_none_and_one_are_sentences_too(number: int) -> None:
    says = verdict(counts(can_send=number), FleetConditions()).says
    assert says == ("The one session can send." if number else "There are no sessions yet.")

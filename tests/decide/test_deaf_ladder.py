"""What is tried with a deaf session: the gentlest first, within its budget, and no more once it is heard of again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.hearing import ladder, standing
from homing.decide.hearing.ladder import Able, Climb, DeafBudget, Listen, NothingMore
from homing.model.fleet import DeafPolicy, InstanceMode, SessionId, SessionStatus, Takeover
from homing.model.sessions.hearing import (
    DeepLook,
    HeardOf,
    Hearing,
    HearingRecord,
    HearingVerdict,
    Outgoing,
    Rung,
    Shows,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SESSION = SessionId("webjs_1_1")
DEAF = HearingRecord(SESSION, Hearing.DEAF, "no message has come", NOW, 20.0, frozenset({Shows.SILENCE}))
STILL = HearingVerdict(Hearing.DOUBTFUL, "no message has come", 17.0, frozenset({Shows.SILENCE}))
UNTOLD = HearingVerdict(Hearing.HEARING, "too little speaks against it")
ABLE = Able(resubscribes=True, reconnects=True, restarts=True, fenced=True, recycles=True)


def climbed(able: Able = ABLE, policy: DeafPolicy = DeafPolicy.FULL, budget: DeafBudget = ladder.USUAL) -> list[Rung]:
    """All that is tried with a session that stays deaf for ten hours."""
    record, now = DEAF, NOW
    while now < NOW + timedelta(hours=10):
        next_ = ladder.next_rung(record, STILL, able, policy, now, budget=budget)
        if isinstance(next_, Climb):
            record = standing.ended(standing.began(record, next_.rung, now), next_.rung, now, "done")
        now += timedelta(minutes=1)
    return [each.rung for each in record.tried]


def test_the_gentlest_rung_comes_first_and_the_alert_last() -> None:
    assert climbed() == list(Rung)


@pytest.mark.parametrize(
    ("able", "policy", "tried"),
    [
        (ABLE, DeafPolicy.OBSERVE, [Rung.CHECK, Rung.ALERT]),
        (ABLE, DeafPolicy.RESTART, [Rung.CHECK, Rung.RESUBSCRIBE, Rung.RECONNECT, Rung.RESTART, Rung.ALERT]),
        (replace(ABLE, mode=InstanceMode.OBSERVE), DeafPolicy.FULL, [Rung.CHECK, Rung.ALERT]),
        (replace(ABLE, takeover=Takeover.NEVER), DeafPolicy.FULL, [Rung.CHECK, Rung.RESUBSCRIBE, Rung.ALERT]),
        (replace(ABLE, takeover=Takeover.MANUAL, recycles=False, resubscribes=False), DeafPolicy.FULL,
         [Rung.CHECK, Rung.RECONNECT, Rung.RESTART, Rung.ALERT]),
        (replace(ABLE, fenced=False, recycles=False, reconnects=False, resubscribes=False), DeafPolicy.FULL,
         [Rung.CHECK, Rung.RESTART, Rung.ALERT]),
        (replace(ABLE, status=SessionStatus.LOGGED_OUT), DeafPolicy.FULL,
         [Rung.CHECK, Rung.RESUBSCRIBE, Rung.ALERT]),
        (Able(), DeafPolicy.FULL, [Rung.CHECK, Rung.ALERT]),
    ],
    ids=["observe", "restart", "observed", "takeover-never", "takeover-manual", "no-fence", "logged-out", "unable"],
)  # fmt: skip
def test_a_rung_is_gone_up_only_where_capability_and_policy_allow(
    able: Able, policy: DeafPolicy, tried: list[Rung]
) -> None:
    assert climbed(able, policy) == tried


def test_a_session_that_is_only_doubtful_is_left_alone() -> None:
    for hearing in (Hearing.HEARING, Hearing.DOUBTFUL):
        assert isinstance(
            ladder.next_rung(replace(DEAF, hearing=hearing), STILL, ABLE, DeafPolicy.FULL, NOW), NothingMore
        )


def test_a_rung_is_given_time_to_show() -> None:
    record = standing.ended(standing.began(DEAF, Rung.RESUBSCRIBE, NOW), Rung.RESUBSCRIBE, NOW, "done")
    soon = ladder.next_rung(record, STILL, ABLE, DeafPolicy.FULL, NOW + timedelta(minutes=4))
    assert isinstance(soon, Listen)
    later = ladder.next_rung(record, STILL, ABLE, DeafPolicy.FULL, NOW + timedelta(minutes=6))
    assert isinstance(later, Climb)
    assert later.rung is Rung.RECONNECT


def test_after_the_end_of_business_what_was_tried_may_have_helped_unheard() -> None:
    record = standing.ended(standing.began(DEAF, Rung.RESTART, NOW), Rung.RESTART, NOW, "done")
    night = ladder.next_rung(record, UNTOLD, ABLE, DeafPolicy.FULL, NOW + timedelta(hours=7))
    assert isinstance(night, Listen)
    slow = replace(STILL, against=10.0)
    assert isinstance(ladder.next_rung(record, slow, ABLE, DeafPolicy.FULL, NOW + timedelta(hours=7)), Listen)
    next_day = ladder.next_rung(record, UNTOLD, ABLE, DeafPolicy.FULL, NOW + timedelta(hours=30))
    assert isinstance(next_day, Listen), "and the day after begins no new ladder"


def test_a_rung_that_a_killed_gateway_began_is_not_repeated() -> None:
    killed = standing.began(standing.began(DEAF, Rung.CHECK, NOW), Rung.RESTART, NOW + timedelta(minutes=1))
    assert killed.tried[-1].ended_at is None
    next_ = ladder.next_rung(killed, STILL, ABLE, DeafPolicy.FULL, NOW + timedelta(minutes=30))
    assert isinstance(next_, Climb)
    assert next_.rung is Rung.REHOME


def test_a_session_that_goes_deaf_again_and_again_is_restarted_three_times_a_day() -> None:
    record, restarts = DEAF, 0
    for episode in range(12):
        at = NOW + timedelta(hours=1.5 * episode)
        record = replace(record, since_at=at)
        for minute in range(80):
            now = at + timedelta(minutes=minute)
            able = Able(restarts=True)
            next_ = ladder.next_rung(record, STILL, able, DeafPolicy.RESTART, now)
            if isinstance(next_, Climb):
                restarts += next_.rung is Rung.RESTART
                record = standing.ended(standing.began(record, next_.rung, now), next_.rung, now, "done")
    assert restarts == 3


def test_the_fleet_has_a_budget_of_its_own() -> None:
    record = standing.ended(standing.began(DEAF, Rung.CHECK, NOW), Rung.CHECK, NOW, "done")
    able, later = Able(restarts=True), NOW + timedelta(minutes=5)
    touched = [NOW - timedelta(minutes=each) for each in range(20)]
    waits = ladder.next_rung(record, STILL, able, DeafPolicy.RESTART, later, touched=touched)
    assert isinstance(waits, Listen)
    assert "20 sessions were interrupted" in waits.reason
    assert isinstance(ladder.next_rung(record, STILL, able, DeafPolicy.RESTART, later, touched=touched[1:]), Climb)


def test_what_is_held_is_looked_at_and_not_touched() -> None:
    record = standing.ended(standing.began(DEAF, Rung.CHECK, NOW), Rung.CHECK, NOW, "done")
    later = NOW + timedelta(minutes=5)
    waits = ladder.next_rung(record, STILL, Able(restarts=True), DeafPolicy.FULL, later, held="so many at once")
    assert isinstance(waits, Listen)
    assert "so many at once" in waits.reason


# --- from one judgment to the next ----------------------------------------------------------------------------


def heard(**told: object) -> HeardOf:
    return replace(HeardOf(SESSION, since_at=NOW - timedelta(days=1)), **told)  # type: ignore[arg-type]


def test_a_deaf_session_stays_so_until_it_is_heard_of() -> None:
    later = NOW + timedelta(minutes=20)
    assert standing.stands(DEAF, UNTOLD, heard(last_at=NOW - timedelta(hours=1)), later) is DEAF
    again = standing.stands(DEAF, UNTOLD, heard(last_at=NOW + timedelta(minutes=19)), later)
    assert (again.hearing, again.since_at) == (Hearing.HEARING, later)


def test_an_acknowledgement_does_not_show_that_messages_come() -> None:
    acknowledged = Outgoing((), NOW + timedelta(minutes=1), 0.98)
    assert standing.stands(DEAF, UNTOLD, heard(outgoing=acknowledged), NOW + timedelta(minutes=2)) is DEAF
    pending = replace(DEAF, shows=frozenset({Shows.UNACKNOWLEDGED}))
    again = standing.stands(pending, UNTOLD, heard(outgoing=acknowledged), NOW + timedelta(minutes=2))
    assert again.hearing is Hearing.HEARING


def test_a_message_that_comes_does_not_show_that_messages_go() -> None:
    pending = replace(DEAF, shows=frozenset({Shows.UNACKNOWLEDGED}))
    assert standing.stands(pending, UNTOLD, heard(last_at=NOW + timedelta(minutes=1)), NOW) is pending


def test_a_good_answer_to_the_deeper_question_counts_only_where_a_bad_one_was_all_there_was() -> None:
    good = DeepLook(NOW + timedelta(minutes=5))
    asked = replace(DEAF, shows=frozenset({Shows.DEEP_LOOK}))
    assert standing.stands(asked, UNTOLD, heard(looked=good), NOW).hearing is Hearing.HEARING
    assert standing.stands(DEAF, UNTOLD, heard(looked=good), NOW) is DEAF


def test_what_was_tried_ends_the_evidence_and_a_look_does_not() -> None:
    looked = standing.ended(standing.began(DEAF, Rung.CHECK, NOW), Rung.CHECK, NOW, "done")
    assert standing.evidence_since(looked) is None
    at = NOW + timedelta(minutes=3)
    restarted = standing.ended(standing.began(looked, Rung.RESTART, NOW), Rung.RESTART, at, "done")
    assert standing.evidence_since(restarted) == at


@given(st.lists(st.sampled_from(list(Rung)), max_size=200))
def test_no_more_is_remembered_than_is_needed(rungs: list[Rung]) -> None:
    record = DEAF
    for number, rung in enumerate(rungs):
        record = standing.began(record, rung, NOW + timedelta(minutes=number))
    assert len(record.tried) <= 51

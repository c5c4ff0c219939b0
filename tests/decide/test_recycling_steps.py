"""An instance that is started anew: emptied, its supervisor told, a new process waited for; one after the other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homing.decide.fleet import recycling
from homing.decide.fleet.recycling import Empty, Fill, GiveUp, KeepWaiting, SeenInstance, Tell, next_step
from homing.model.fleet import InstanceUrl
from homing.model.instances.recycling import Recycle, RecycleState

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
ASKED = Recycle(1, InstanceUrl("http://a:3001"), NOW, "old")
EMPTYING = replace(ASKED, state=RecycleState.EMPTYING, incarnation="one")
WAITING = replace(EMPTYING, state=RecycleState.WAITING, told_at=NOW)
WELL = SeenInstance(True, "one", 90_000.0)


def test_its_turn_comes_after_the_one_before_it() -> None:
    assert isinstance(next_step(ASKED, WELL, NOW, is_first=False), KeepWaiting)
    step = next_step(ASKED, WELL, NOW, is_first=True)
    assert isinstance(step, Empty)
    assert (step.after.state, step.after.incarnation) == (RecycleState.EMPTYING, "one")


def test_its_supervisor_is_told_when_it_is_empty_and_not_before() -> None:
    assert isinstance(next_step(EMPTYING, replace(WELL, remaining=3, stuck=1), NOW, is_first=True), KeepWaiting)
    step = next_step(EMPTYING, WELL, NOW, is_first=True)
    assert isinstance(step, Tell)
    assert (step.after.state, step.after.told_at, step.after.stayed) == (RecycleState.WAITING, NOW, 0)


def test_sessions_that_cannot_leave_keep_it_running_unless_they_may_be_away() -> None:
    stuck = replace(WELL, remaining=2, stuck=2)
    step = next_step(EMPTYING, stuck, NOW, is_first=True)
    assert isinstance(step, GiveUp)
    assert step.fill
    assert "2 sessions cannot leave" in step.after.result
    allowed = next_step(replace(EMPTYING, with_gap=True), stuck, NOW, is_first=True)
    assert isinstance(allowed, Tell)
    assert allowed.after.stayed == 2


def test_only_another_boot_is_a_new_process() -> None:
    later = NOW + timedelta(minutes=1)
    assert isinstance(next_step(WAITING, WELL, later, is_first=True), KeepWaiting)
    assert isinstance(next_step(WAITING, replace(WELL, incarnation=None), later, is_first=True), KeepWaiting)
    assert isinstance(next_step(WAITING, SeenInstance(False, "two"), later, is_first=True), KeepWaiting)
    step = next_step(WAITING, replace(WELL, incarnation="two"), later, is_first=True)
    assert isinstance(step, Fill)
    assert step.after.state is RecycleState.DONE


@pytest.mark.parametrize(
    ("was_away", "uptime_s", "is_new"),
    [
        (False, 90_000.0, False),
        (False, None, False),
        (True, None, True),
        (False, 20.0, True),
        (False, 58.0, True),
        (False, 61.0, False),
    ],
)
def test_where_boots_have_no_names_its_being_away_or_its_age_tells(
    was_away: bool, uptime_s: float | None, is_new: bool
) -> None:
    waiting = replace(WAITING, incarnation=None, was_away=was_away)
    step = next_step(waiting, SeenInstance(True, None, uptime_s), NOW + timedelta(minutes=1), is_first=True)
    assert isinstance(step, Fill if is_new else KeepWaiting)


def test_that_its_address_was_away_is_remembered() -> None:
    step = next_step(replace(WAITING, incarnation=None), SeenInstance(False), NOW, is_first=True)
    assert isinstance(step, KeepWaiting)
    assert step.after.was_away


def test_one_that_does_not_come_up_is_given_up_and_stays_emptied() -> None:
    step = next_step(WAITING, WELL, NOW + timedelta(hours=1), is_first=True)
    assert isinstance(step, GiveUp)
    assert not step.fill
    assert step.after.state is RecycleState.FAILED


def test_instances_are_old_by_their_own_word_and_the_oldest_comes_first() -> None:
    a, b, c, d = (InstanceUrl(f"http://{name}:1") for name in "abcd")
    assert recycling.too_old({a: 3_700.0, b: 7_300.0, c: None, d: 3_500.0}, after_h=1) == [b, a]
    assert not recycling.may_by_itself({"recycle": "no"})
    assert recycling.with_gap({"recycle": "gap"})
    assert not recycling.with_gap({})

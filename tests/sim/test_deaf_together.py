"""Many sessions that go deaf at once: the brake holds what has one cause, and budgets bound the rest."""

from dataclasses import replace

from homing.decide.hearing import ladder
from homing.lab.deaf import together
from homing.lab.deaf.together import fleet_of, play
from homing.model.fleet import DeafPolicy, SessionId
from homing.model.sessions.hearing import Rung

ENGINES = ("webjs 1.34", "noweb 2.3")


def test_a_whole_engine_version_that_goes_deaf_trips_the_brake_and_starts_no_ladders() -> None:
    found = play(fleet_of(800, ENGINES, lambda number, engine: engine == ENGINES[0] and number % 2 == 0), minutes=120)
    assert found.deaf == 200
    assert found.held == 200
    assert "sessions of engine version webjs 1.34 went deaf together" in (found.why_held or "")
    assert found.touched == set()
    assert set(found.rungs) == {Rung.CHECK, Rung.RESUBSCRIBE}, "looking and telling interrupt nobody"


def test_canaries_are_tried_while_the_others_are_held_and_no_more_of_them() -> None:
    fleet = fleet_of(400, ENGINES, lambda _, engine: engine == ENGINES[0])
    canaries = {each.session_id for each in fleet if each.instance == "http://wa0:3001"}
    fleet = [replace(each, canary=each.session_id in canaries) for each in fleet]
    found = play(fleet, minutes=240)
    assert found.touched
    assert found.touched <= canaries


def test_a_thousand_deaf_at_once_are_held() -> None:
    found = play(fleet_of(1_500, ("one",), lambda number, _: number % 3 != 0), minutes=60)
    assert (found.deaf, found.held, found.touched) == (1_000, 1_000, set())


def test_a_thousand_that_share_nothing_are_interrupted_within_the_budget_of_the_fleet() -> None:
    engines = tuple(f"engine {number}" for number in range(20))
    found = play(fleet_of(5_000, engines, lambda number, _: number % 5 == 0), minutes=130)
    assert (found.deaf, found.held) == (1_000, 0)
    assert 0 < found.touches_an_hour <= ladder.USUAL.fleet_touches


def test_once_few_enough_are_deaf_the_rest_is_tried_and_helped() -> None:
    fleet = fleet_of(100, ENGINES, lambda number, _: number in {1, 51, 70})
    found = play(fleet, minutes=60, policy=DeafPolicy.RESTART, helps=lambda _, rung: rung is Rung.RECONNECT)
    assert found.held == 0
    assert found.rungs == {Rung.CHECK: 3, Rung.RESUBSCRIBE: 3, Rung.RECONNECT: 3}


def test_the_simulation_tells_of_both_and_of_what_would_be_wrong_with_them() -> None:
    played = together.played()
    assert set(played) == {"engine_outage", "thousand_at_once", "thousand_unrelated"}
    assert played["engine_outage"].document() == {"deaf": 200, "held": 200, "touched": 0, "touches_an_hour": 0}
    assert played["thousand_at_once"].document() == {"deaf": 1_000, "held": 1_000, "touched": 0, "touches_an_hour": 0}
    assert played["thousand_unrelated"].held == 0
    assert 0 < played["thousand_unrelated"].touches_an_hour <= ladder.USUAL.fleet_touches
    assert all(each.is_well for each in played.values())
    assert not replace(played["engine_outage"], touched={SessionId("session-0")}).is_well
    assert not replace(played["thousand_unrelated"], touched_at=[together.BEGIN] * 21).is_well

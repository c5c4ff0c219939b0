"""Every order of events of a small world: nothing is wrong with all rules in force, and something without any one."""

import pytest

from homing.sim.exhaustive.rules import RULES, SETTINGS
from homing.sim.exhaustive.search import Search
from homing.sim.exhaustive.vault import Rulebook

USUAL = [setting.name for setting in SETTINGS.values() if setting.usual]


@pytest.mark.slow
@pytest.mark.parametrize("setting", USUAL)
def test_with_every_rule_in_force_no_order_breaks_a_promise(setting: str) -> None:
    searched = Search(Rulebook.of(SETTINGS[setting], None)).run()
    assert searched.found is None
    assert searched.complete
    assert searched.states > 100


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_the_shortest_way_to_break_a_promise_is_told(rule: str) -> None:
    searched = Search(Rulebook.of(RULES[rule].setting, rule)).run()
    assert searched.found is not None, RULES[rule].says
    assert searched.found.what
    assert 0 < len(searched.found.history) <= searched.depth

"""Every order of events of a small world: nothing is wrong with all rules in force, and something without any one."""

import pytest

from homing.lab.sim.exhaustive.rules import RULES, SETTINGS
from homing.lab.sim.exhaustive.search import Search
from homing.lab.sim.exhaustive.vault import Rulebook

DEPTH = 8
LONG = {
    *("counters-go-on", "unfinished-first", "save-before-speaking", "replaced-stays-away"),
    *("redeclare", "grace", "fence-first", "stopped-and-gone"),
}
"""Each takes from five seconds to a minute. `homing sim explore --every-rule` takes these out too."""


def test_with_every_rule_in_force_no_order_breaks_a_promise_so_far_down() -> None:
    searched = Search(Rulebook.of(SETTINGS["ours"], None)).run(max_depth=DEPTH)
    assert searched.found is None
    assert searched.states > 1_000


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in LONG])
def test_without_a_rule_the_shortest_way_to_break_a_promise_is_told(rule: str) -> None:
    searched = Search(Rulebook.of(RULES[rule].setting, rule)).run()
    assert searched.found is not None, RULES[rule].says
    assert searched.depth == len(searched.found.history)
    assert searched.found.what

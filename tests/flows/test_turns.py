"""How many sessions may log in somewhere at this moment."""

import pytest
from worlds import A, B

from homing.flows.moves.login_rate import Turns
from homing.lab.sim.world import VirtualClock

pytestmark = pytest.mark.virtual


async def test_turns_come_back_a_second_after_they_were_used() -> None:
    clock = VirtualClock()
    turns = Turns(clock, per_s=3)
    turns.used(A, granted=True)
    await clock.sleep(0.5)
    turns.used(A, granted=True)
    assert (turns.left(A), turns.left(B)) == (1, 3)
    await clock.sleep(0.5)
    assert turns.left(A) == 2
    await clock.sleep(0.5)
    assert turns.left(A) == 3


async def test_a_grant_that_was_not_given_says_that_others_used_the_turns() -> None:
    clock = VirtualClock()
    turns = Turns(clock, per_s=3)
    turns.used(A, granted=False)
    assert turns.left(A) == 0
    await clock.sleep(1.0)
    assert turns.left(A) == 3


async def test_a_rate_below_one_still_lets_one_in() -> None:
    assert Turns(VirtualClock(), per_s=0.2).left(A) == 1

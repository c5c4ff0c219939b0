"""Instances that are to be started anew, on every store."""

from dataclasses import replace

from fleets import A, B

from clocks import SteppedClock
from homing.model.instances.recycling import RecycleState
from homing.store.db.database import Database
from homing.store.records.recycles import SqlRecycles


async def test_an_instance_is_asked_for_once_until_that_is_over(database: Database, clock: SteppedClock) -> None:
    recycles, now = SqlRecycles(database), clock.now()
    first = await recycles.ask(A, "old", with_gap=False, at=now)
    assert await recycles.ask(A, "deaf", with_gap=True, at=now) == first
    other = await recycles.ask(B, "old", with_gap=True, at=now)
    assert [each.id for each in await recycles.open()] == [first.id, other.id]
    over = replace(first, state=RecycleState.DONE, ended_at=now, result="a new process is up")
    assert await recycles.keep(first, over)
    again = await recycles.ask(A, "deaf", with_gap=True, at=now)
    assert again.id > other.id
    assert [each.id for each in await recycles.newest(limit=2)] == [again.id, other.id]


async def test_of_two_gateways_that_take_a_step_one_does(database: Database, clock: SteppedClock) -> None:
    recycles, now = SqlRecycles(database), clock.now()
    asked = await recycles.ask(A, "old", with_gap=False, at=now)
    emptying = replace(asked, state=RecycleState.EMPTYING, incarnation="one")
    assert await recycles.keep(asked, emptying)
    assert not await recycles.keep(asked, emptying)
    waiting = replace(emptying, state=RecycleState.WAITING, told_at=now, stayed=2, was_away=True)
    assert await recycles.keep(emptying, waiting)
    assert await recycles.open() == [waiting]
    ended = replace(waiting, state=RecycleState.FAILED, ended_at=now, result="it did not come up")
    assert await recycles.keep(waiting, ended)
    assert await recycles.open() == []
    assert not await recycles.keep(ended, replace(ended, result="again"))

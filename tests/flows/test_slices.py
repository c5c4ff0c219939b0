"""What takes long is done in slices, or aside: nobody else waits until it is through."""

import asyncio

import pytest

from homing.ports.aside import SLICE, Slices, at_once
from homing.world import SystemClock


async def turns_of_others(slices: Slices, things: int) -> int:
    """How often somebody else had a turn while so many things were done."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(other())
    await asyncio.sleep(0)
    before = turns
    for _ in range(things):
        await slices.after()
    waiting.cancel()
    return turns - before


@pytest.mark.parametrize(("things", "turns"), [(0, 0), (SLICE - 1, 0), (SLICE, 1), (10 * SLICE, 10)])
async def test_others_have_their_turn_after_every_slice(things: int, turns: int) -> None:
    assert await turns_of_others(Slices(SystemClock()), things) == turns


async def test_what_is_counted_at_once_is_a_slice_too() -> None:
    slices = Slices(SystemClock(), of=10)
    await slices.after(9)
    assert await turns_of_others(slices, 1) == 1


async def test_where_time_is_not_real_work_is_done_at_once() -> None:
    assert await at_once(lambda: 7) == 7

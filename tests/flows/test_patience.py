"""One limit on many waits at once."""

import asyncio

import pytest

from homing.flows.sending.patience import Patience

pytestmark = pytest.mark.virtual


async def given_up_s(patience: Patience, begins_s: float) -> float:
    """When somebody who begins to wait so late for what never comes is told that it takes too long."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await asyncio.sleep(begins_s)
    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.sleep(100))
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0  # and goes on
    await asyncio.sleep(0)
    return loop.time() - began_s


async def test_each_is_given_up_at_a_time_of_its_own() -> None:
    patience = Patience(1.0)
    seen = await asyncio.gather(*(given_up_s(patience, begins_s) for begins_s in (0.0, 0.4, 0.4, 3.0)))
    assert seen == [pytest.approx(each) for each in (1.0, 1.4, 1.4, 4.0)]


async def test_an_answer_in_time_is_given_however_many_came_before() -> None:
    patience = Patience(1.0)

    async def answer(number: int) -> int:
        await asyncio.sleep(0.9)
        return number

    for _ in range(3):
        assert await asyncio.gather(*(patience.wait(answer(n)) for n in range(3))) == [0, 1, 2]


async def test_whoever_is_cancelled_is_not_told_that_it_took_too_long() -> None:
    patience = Patience(1.0)
    waits = asyncio.ensure_future(patience.wait(asyncio.sleep(100)))
    await asyncio.sleep(0.5)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert await patience.wait(asyncio.sleep(0.1, "served")) == "served"


async def test_nor_whoever_is_cancelled_while_it_is_given_up() -> None:
    async def answer() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            waits.cancel()

    waits = asyncio.ensure_future(Patience(1.0).wait(answer()))
    with pytest.raises(asyncio.CancelledError):
        await waits

"""What is asked for at the same time is done together, and answered to each alone."""

import asyncio
from collections.abc import Sequence

import pytest

from homing.ports import RowRefused, StoreUnavailable
from homing.store.db.batcher import Together

pytestmark = pytest.mark.virtual


class Doubling:
    """Doubles numbers, a second for each batch, and cannot bear some of them."""

    def __init__(self, *, unbearable: frozenset[int] = frozenset(), error: type[Exception] = ValueError) -> None:
        self.batches: list[list[int]] = []
        self._unbearable, self._error = unbearable, error

    async def __call__(self, given: Sequence[int]) -> list[int]:
        self.batches.append(list(given))
        await asyncio.sleep(1)
        if self._unbearable & set(given):
            raise self._error(f"of {given}")
        return [2 * each for each in given]


async def test_what_comes_while_others_are_served_is_served_together_next() -> None:
    do = Doubling()
    together = Together(do)
    first = asyncio.create_task(together(1))
    await asyncio.sleep(0.5)
    assert await asyncio.gather(first, *(together(each) for each in (2, 3, 4))) == [2, 4, 6, 8]
    assert do.batches == [[1], [2, 3, 4]]
    assert await together(5) == 10


async def test_what_comes_as_others_are_answered_does_not_wait_for_those_who_came_before() -> None:
    do = Doubling()
    together = Together(do)

    async def twice() -> int:
        return await together(await together(1))

    again = asyncio.create_task(twice())
    await asyncio.sleep(0.5)
    assert await asyncio.gather(again, together(3)) == [4, 6]
    assert do.batches == [[1], [3, 2]]


async def test_one_that_fails_keeps_nothing_from_the_others() -> None:
    together = Together(Doubling(unbearable=frozenset({2})))
    results = await asyncio.gather(*(together(each) for each in (1, 2, 3)), return_exceptions=True)
    assert (results[0], str(results[1]), results[2]) == (2, "of [2]", 6)


async def test_a_store_that_is_away_is_not_asked_for_each_of_them() -> None:
    do = Doubling(unbearable=frozenset({2}), error=StoreUnavailable)
    together = Together(do)
    results = await asyncio.gather(*(together(each) for each in (1, 2, 3)), return_exceptions=True)
    assert [type(each) for each in results] == [StoreUnavailable] * 3
    assert do.batches[-1] == [1, 2, 3]


async def test_one_that_the_store_refuses_keeps_nothing_from_the_others() -> None:
    together = Together(Doubling(unbearable=frozenset({2}), error=RowRefused))
    results = await asyncio.gather(*(together(each) for each in (1, 2, 3)), return_exceptions=True)
    assert (results[0], type(results[1]), results[2]) == (2, RowRefused, 6)


async def test_one_who_went_away_is_not_missed() -> None:
    together = Together(Doubling())
    gone = asyncio.create_task(together(1))
    stays = asyncio.create_task(together(2))
    await asyncio.sleep(0.5)
    gone.cancel()
    assert await stays == 4


async def test_what_nobody_waits_for_when_its_turn_comes_is_not_done() -> None:
    do = Doubling()
    together = Together(do)
    first = asyncio.create_task(together(1))
    await asyncio.sleep(0.5)
    gone, stays = asyncio.create_task(together(2)), asyncio.create_task(together(3))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await first, await stays) == (2, 6)
    assert do.batches == [[1], [3]]


async def test_whoever_waits_for_what_is_under_way_waits_for_no_more_than_that() -> None:
    do = Doubling()
    together = Together(do)
    await together.under_way()
    tasks = [asyncio.create_task(together(1))]
    await asyncio.sleep(0.5)
    tasks.append(asyncio.create_task(together(2)))
    await together.under_way()
    assert (tasks[0].done(), do.batches[0], tasks[1].done()) == (True, [1], False)
    await asyncio.gather(*tasks)

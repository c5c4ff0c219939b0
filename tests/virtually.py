"""Virtual time for tests: the mark `virtual` and `run_virtually`, so that hours take milliseconds.

A conftest takes it by importing both hooks:

    from virtually import pytest_asyncio_loop_factories, pytest_configure

Then an `async def` test marked `virtual` runs on a `VirtualLoop`, its fixtures too; `virtual(seed=7)` names the seed,
`virtual(seeds=20)` tries the first twenty, `virtual(shuffle=False)` keeps the order of a real loop.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

import pytest

from homing.lab.sim.loop import VirtualLoop, run

T = TypeVar("T")

LIMIT_STEPS = 5_000_000
"""A test that gets nowhere in virtual time says so after a few real seconds."""


def run_virtually(
    story: Callable[[], Coroutine[Any, Any, T]],
    seed: int = 0,
    *,
    shuffle: bool = True,
    limit_s: float | None = None,
    limit_steps: int = LIMIT_STEPS,
) -> T:
    """Run `story()` in virtual time. What goes wrong is noted with the seed that shows it."""
    try:
        return run(story(), seed=seed, shuffle=shuffle, limit_s=limit_s, limit_steps=limit_steps)
    except BaseException as error:
        error.add_note(f"in virtual time with seed={seed}, shuffle={shuffle}")
        raise


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual(seed, seeds, shuffle): runs in virtual time, in an order from a seed")


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A virtual loop for each seed of a test marked `virtual`; a real one for the others."""
    mark = item.get_closest_marker("virtual")
    if mark is None:
        return {"asyncio": asyncio.new_event_loop}
    return _loops(**mark.kwargs)


def _loops(
    *, seed: int = 0, seeds: int | None = None, shuffle: bool = True
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    wanted = [seed] if seeds is None else range(seeds)
    return {f"seed-{each}": partial(VirtualLoop, each, shuffle=shuffle, limit_steps=LIMIT_STEPS) for each in wanted}

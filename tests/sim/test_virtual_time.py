"""Virtual time: jumps, order from a seed, no way out into the real world, and deadlocks by name."""

import asyncio
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from homing.lab.sim.loop import PRIVATE_NAMES, Deadlock, RealWorldRefused, VirtualLimit, VirtualLoop, current_loop, run
from homing.lab.sim.world import STARTED_AT, SeededEntropy, VirtualClock
from virtually import run_virtually

STORY = Path(__file__).with_name("traced.py")


async def turns(workers: int = 5) -> list[int]:
    """The order in which some tasks, all ready at the same moments, had their turns."""
    order: list[int] = []

    async def worker(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            order.append(number)

    await asyncio.gather(*(worker(number) for number in range(workers)))
    return order


def test_hours_pass_in_milliseconds() -> None:
    async def day() -> float:
        for _ in range(24):
            await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(day()) == 24 * 3600
    assert time.monotonic() - began < 1


def test_time_stands_still_while_anything_is_ready() -> None:
    async def busy() -> float:
        for _ in range(100):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run(busy()) == 0


def test_the_same_seed_repeats_its_order_and_seeds_differ() -> None:
    assert run(turns(), seed=1) == run(turns(), seed=1)
    assert len({tuple(run(turns(), seed=seed)) for seed in range(20)}) > 15


def test_without_shuffling_the_order_is_that_of_a_real_loop() -> None:
    assert run(turns(), seed=1, shuffle=False) == [0, 1, 2, 3, 4] * 3


def test_every_order_of_three_is_tried_by_some_seed() -> None:
    first_turns = {tuple(run(turns(3), seed=seed)[:3]) for seed in range(60)}
    assert len(first_turns) == 6


def test_a_seed_means_the_same_in_every_process() -> None:
    def printed(seed: str, hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        ran = subprocess.run([sys.executable, STORY, seed], env=environment, check=True, capture_output=True, text=True)
        return ran.stdout

    first = printed("3", "0")
    assert first == printed("3", "4242")
    assert first != printed("4", "0")


def test_the_fingerprint_knows_what_was_noted() -> None:
    async def noting(words: str) -> str:
        current_loop().note(words)
        return current_loop().trace_hash()

    assert run(noting("this")) != run(noting("that"))


# --- ends ---------------------------------------------------------------------------------------------------------


def test_a_deadlock_is_found_and_names_who_waits_for_what() -> None:
    async def never_set(event: asyncio.Event) -> None:
        await event.wait()

    async def story() -> None:
        waiting = asyncio.create_task(never_set(asyncio.Event()), name="the waiter")
        await asyncio.sleep(5)
        await waiting

    with pytest.raises(Deadlock, match="5 s into the run") as found:
        run(story())
    words = str(found.value)
    assert "the waiter:" in words
    assert "never_set" in words
    assert "Event.wait" in words
    assert "awaits task 'the waiter'" in words


def test_a_deadlock_in_tidying_up_does_not_hide_the_first() -> None:
    async def first_wait() -> None:
        await asyncio.Event().wait()

    async def second_wait() -> None:
        await asyncio.Event().wait()

    async def stubborn() -> None:
        try:
            await first_wait()
        finally:
            await second_wait()

    with pytest.raises(Deadlock, match="first_wait"):
        run(stubborn())


def test_a_run_that_lasts_too_long_is_ended() -> None:
    with pytest.raises(VirtualLimit, match="within 60 virtual seconds"):
        run(asyncio.sleep(61), limit_s=60)
    run(asyncio.sleep(60), limit_s=60)


def test_a_run_that_gets_nowhere_is_ended() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - the point of it
            await asyncio.sleep(0)

    with pytest.raises(VirtualLimit, match="within 1000 steps"):
        run(spin(), limit_steps=1000)


def test_time_that_stands_still_is_told_from_a_run_that_takes_long() -> None:
    async def busy(spins: bool) -> None:
        for _ in range(50):
            await asyncio.sleep(1)
            for _ in range(90):
                await asyncio.sleep(0)
        while spins:  # noqa: ASYNC110 - the point of it
            await asyncio.sleep(0)

    def loop() -> VirtualLoop:
        return VirtualLoop(still_steps=100)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(busy(spins=False))
    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(VirtualLimit, match=r"(?s)100 steps at once.*busy"):
        runner.run(busy(spins=True))


def test_a_cancelled_timer_moves_no_time() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(1_000, print).cancel()
        async with asyncio.timeout(500):
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        return loop.time()

    assert run(story()) == 2


def test_an_error_names_the_seed_that_shows_it() -> None:
    async def fail() -> None:
        raise ValueError("as told")

    with pytest.raises(ValueError, match="as told") as raised:
        run_virtually(fail, 17)
    assert raised.value.__notes__ == ["in virtual time with seed=17, shuffle=True"]


# --- the real world -----------------------------------------------------------------------------------------------


async def by_socket() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def by_server() -> None:
    await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)


async def by_raw_socket() -> None:
    with socket.socket() as raw:
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", 1))


async def by_name() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)


async def by_thread() -> None:
    await asyncio.to_thread(print)


async def by_process() -> None:
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize("reach_out", [by_socket, by_server, by_raw_socket, by_name, by_thread, by_process])
def test_sockets_threads_and_processes_are_refused(reach_out: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(RealWorldRefused, match="reaches into the real world"):
        run(reach_out())


def test_a_thread_that_calls_in_is_refused_on_both_sides() -> None:
    refused: list[BaseException] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()

        def call_in() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except RealWorldRefused as error:
                refused.append(error)

        thread = threading.Thread(target=call_in, name="intruder")
        thread.start()
        thread.join()
        await asyncio.sleep(1)

    with pytest.raises(RealWorldRefused, match="intruder"):
        run(story())
    assert refused


def test_the_private_names_it_stands_on_are_those_of_this_python() -> None:
    """A new Python that renames one of these breaks the loop in ways that are hard to see; so look here first."""
    source = inspect.getsource(asyncio.BaseEventLoop)
    for name in PRIVATE_NAMES:
        assert f"{name}" in source, f"asyncio has no {name} any more"
    assert "self._ready.append(handle)" in source
    assert "self._ready = collections.deque()" in source
    assert "self._scheduled = []" in source
    assert "self._run_once()" in inspect.getsource(asyncio.BaseEventLoop.run_forever)


# --- clock and chance ---------------------------------------------------------------------------------------------


@pytest.mark.virtual
async def test_the_clock_tells_virtual_time() -> None:
    clock = VirtualClock()
    await clock.sleep(90)
    assert (clock.monotonic(), (clock.now() - STARTED_AT).total_seconds()) == (90, 90)


@pytest.mark.virtual
async def test_a_wall_clock_can_be_wrong_and_jump_while_monotonic_time_goes_on() -> None:
    clock = VirtualClock(skew_s=-30)
    assert (clock.now() - STARTED_AT).total_seconds() == -30
    clock.jump(-60)
    await clock.sleep(1)
    assert (clock.now() - STARTED_AT).total_seconds() == -89
    assert clock.monotonic() == 1


@pytest.mark.virtual
async def test_chance_is_the_seeds() -> None:
    def drawn(seed: int) -> list[object]:
        entropy = SeededEntropy(seed)
        return [entropy.random(), entropy.token(16), entropy.uuid()]

    assert drawn(1) == drawn(1)
    assert all(mine != other for mine, other in zip(drawn(1), drawn(2), strict=True))


@pytest.mark.virtual
async def test_uuids_are_of_version_7_and_sort_by_age_even_when_the_clock_goes_back() -> None:
    clock = VirtualClock()
    entropy = SeededEntropy(1, clock)
    made: list[str] = []
    for number in range(5_000):
        made.append(entropy.uuid())
        if number == 2_500:
            clock.jump(-3600)
    assert made == sorted(set(made))
    assert {each[14] for each in made} == {"7"}
    assert {each[19] for each in made} <= set("89ab")


@pytest.mark.virtual(seeds=3)
async def test_a_marked_test_runs_in_virtual_time() -> None:
    await asyncio.sleep(3600)
    assert current_loop().time() == 3600

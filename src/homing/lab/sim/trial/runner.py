"""Many runs, on all cores: each process takes a few seeds at a time and sends back what it found."""

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice

from homing.lab.sim.trial.judging.report import RunsReport, RunVerdict, judged
from homing.lab.sim.trial.scenario import SCENARIOS, Scenario
from homing.lab.sim.trial.trial import run
from homing.world import die_with

ALONE_BELOW = 8
"""So few runs are over before other processes are ready."""
AT_ONCE = 4


def run_seeds(
    scenario: Scenario, seeds: Sequence[int], *, processes: int | None = None, told: Callable[[RunsReport], None]
) -> RunsReport:
    """Play all seeds; `told` sees the report grow. An interruption leaves the report as far as it came."""
    report = RunsReport(scenario.name, len(seeds))
    began_s = time.monotonic()
    number = processes if processes is not None else len(os.sched_getaffinity(0))
    verdicts = (
        _one_by_one(scenario, seeds) if number <= 1 or len(seeds) < ALONE_BELOW else _spread(scenario, seeds, number)
    )
    try:
        for some in verdicts:
            report.add(some)
            report.wall_s = time.monotonic() - began_s
            told(report)
    except KeyboardInterrupt:
        report.wall_s = time.monotonic() - began_s
    return report


def play(scenario: Scenario, seed: int) -> RunVerdict:
    """One run, judged."""
    return judged(run(scenario, seed))


def _one_by_one(scenario: Scenario, seeds: Sequence[int]) -> Iterator[list[RunVerdict]]:
    for seed in seeds:
        yield [play(scenario, seed)]


def _spread(scenario: Scenario, seeds: Sequence[int], processes: int) -> Iterator[list[RunVerdict]]:
    # Fresh processes: nothing of this one, least of all its threads, is to be copied into a run.
    fresh = multiprocessing.get_context("spawn")
    left = iter([list(seeds[first : first + AT_ONCE]) for first in range(0, len(seeds), AT_ONCE)])
    with ProcessPoolExecutor(processes, fresh, initializer=_begin, initargs=(os.getpid(),)) as pool:
        working: set[Future[list[RunVerdict]]] = {
            pool.submit(_play_some, scenario.name, some) for some in islice(left, 2 * processes)
        }
        try:
            while working:
                done, working = wait(working, return_when=FIRST_COMPLETED)
                for each in done:
                    yield each.result()
                    working |= {pool.submit(_play_some, scenario.name, some) for some in islice(left, 1)}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(parent: int) -> None:
    die_with(parent)
    gc.freeze()  # nothing of what was imported goes away: between two runs it need not be looked through


def _play_some(scenario: str, seeds: list[int]) -> list[RunVerdict]:
    return [play(SCENARIOS[scenario], seed) for seed in seeds]

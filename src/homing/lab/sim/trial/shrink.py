"""The same failure with less: fewer faults, then shorter ones, until nothing can be left out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from homing.lab.sim.trial.faults import Misfortune
from homing.lab.sim.trial.judging.report import RunVerdict, judged
from homing.lab.sim.trial.scenario import Scenario
from homing.lab.sim.trial.trial import run

TRIES = 60


def shrunk(
    scenario: Scenario, seed: int, faults: Sequence[Misfortune], checker: str, *, told: Callable[[int, int], None]
) -> tuple[Misfortune, ...]:
    """Fewest faults found with which this checker still complains. `told` hears of tries and faults left."""
    best, tries = tuple(faults), 0
    improved = True
    while improved and tries < TRIES:
        improved = False
        for fewer in _smaller(best):
            tries += 1
            if checker in _complaints(judged(run(scenario, seed, fewer))):
                best, improved = fewer, True
                told(tries, len(best))
                break
            if tries >= TRIES:
                break
    return best


def _complaints(verdict: RunVerdict) -> set[str]:
    return {violation.checker for violation in verdict.violations}


def _smaller(faults: tuple[Misfortune, ...]) -> Iterator[tuple[Misfortune, ...]]:
    """Half of them, all but one, the same but one of them shorter."""
    half = len(faults) // 2
    if half > 1:
        yield faults[:half]
        yield faults[half:]
    for place in range(len(faults)):
        yield faults[:place] + faults[place + 1 :]
    for place, fault in enumerate(faults):
        if fault.for_s > 0.2:
            shorter = replace(fault, for_s=round(fault.for_s / 2, 3))
            yield (*faults[:place], shorter, *faults[place + 1 :])

"""Many seeds, and every run that failed once."""

from pathlib import Path

import pytest

from homing.sim.trial.kept import KeptRun
from homing.sim.trial.report import judged
from homing.sim.trial.runner import run_seeds
from homing.sim.trial.scenario import SCENARIOS
from homing.sim.trial.trial import run

KEPT = sorted(Path(__file__).with_name("kept").glob("*.json"))


@pytest.mark.slow
def test_five_hundred_seeds_break_no_promise() -> None:
    report = run_seeds(SCENARIOS["brief"], range(500), told=lambda _: None)
    assert report.complete
    assert [(seed, each.checker, each.what) for seed, each in report.violations] == []
    assert len({verdict.trace for verdict in report.verdicts.values()}) == 500
    assert report.sometimes["an instance died"]
    assert report.sometimes["a session was rehomed"]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["standard", "failover", "strangers", "ids-not-honoured"])
def test_each_kind_of_run_breaks_no_promise(scenario: str) -> None:
    report = run_seeds(SCENARIOS[scenario], range(4), told=lambda _: None)
    assert [(seed, each.checker, each.what) for seed, each in report.violations] == []


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_failed_once_does_not_fail_again(path: Path) -> None:
    kept = KeptRun.read(path)
    assert judged(run(kept.scenario, kept.seed, kept.faults)).violations == (), kept.was_wrong

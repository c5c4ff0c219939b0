"""Many seeds, and every run that failed once."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from homing.lab.sim.trial.judging.report import judged
from homing.lab.sim.trial.kept import KeptRun
from homing.lab.sim.trial.runner import run_seeds
from homing.lab.sim.trial.scenario import SCENARIOS
from homing.lab.sim.trial.trial import run

KEPT = sorted(Path(__file__).with_name("kept").glob("*.json"))


@pytest.mark.slow
def test_two_hundred_seeds_break_no_promise() -> None:
    report = run_seeds(SCENARIOS["brief"], range(200), told=lambda _: None)
    assert report.complete
    assert [(seed, each.checker, each.what) for seed, each in report.violations] == []
    assert len({verdict.trace for verdict in report.verdicts.values()}) == 200
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


def test_a_run_that_is_killed_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "homing.cli", "sim", "run", "--scenario", "brief", "--seeds", "1000"]
    running = Popen([*command, "--processes", "2"], stdout=DEVNULL, stderr=DEVNULL)
    patience_s = time.monotonic() + 60.0
    while len(workers := _children(running.pid)) < 2:
        assert time.monotonic() < patience_s, "it has no workers"
        time.sleep(0.05)
    running.kill()
    running.wait()
    while any(_parent(pid) is not None for pid in workers):
        assert time.monotonic() < patience_s, f"{workers} live on"
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    """Its workers; beside them the standard library has a process that ends by itself."""
    return [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdecimal() and _parent(int(path.name)) == parent and "spawn_main" in _command(path)
    ]


def _command(path: Path) -> str:
    with suppress(OSError):
        return (path / "cmdline").read_text()
    return ""


def _parent(pid: int) -> int | None:
    """None if there is no such process any more, or only its remains."""
    with suppress(OSError):
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(parent) if state != "Z" else None
    return None

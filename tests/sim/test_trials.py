"""Runs from a seed: the same in every process, deadlocks by name, partial reports, less that does the same."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from homing.lab.sim.trial import shrink
from homing.lab.sim.trial.faults import Misfortune, MisfortuneKind
from homing.lab.sim.trial.judging.checkers import Violation
from homing.lab.sim.trial.judging.report import ENOUGH_SEEDS, RunsReport, RunVerdict, judged
from homing.lab.sim.trial.judging.sometimes import SOMETIMES
from homing.lab.sim.trial.kept import KeptRun, NotARun
from homing.lab.sim.trial.runner import run_seeds
from homing.lab.sim.trial.scenario import SCENARIOS
from homing.lab.sim.trial.trial import World, run

BRIEF = SCENARIOS["brief"]
SEEDS = (0, 3)


def traces_under(hash_seed: str) -> dict[str, str]:
    """The traces of some seeds, from a process of its own."""
    code = (
        "from homing.lab.sim.trial.scenario import SCENARIOS\n"
        "from homing.lab.sim.trial.runner import play\n"
        "import json\n"
        f"print(json.dumps({{seed: play(SCENARIOS['brief'], seed).trace for seed in {SEEDS}}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    traces: dict[str, str] = json.loads(done.stdout)
    return traces


def verdict(seed: int, *, sometimes: Sequence[str] = (), violations: tuple[Violation, ...] = ()) -> RunVerdict:
    return RunVerdict(seed, f"trace {seed}", violations, 60.0, 0.1, 1_000, dict.fromkeys(sometimes, 1))


def test_a_seed_is_the_same_run_in_any_process_and_under_any_hash_seed() -> None:
    first, second = traces_under("1"), traces_under("2")
    assert first == second
    assert len(set(first.values())) == len(SEEDS)


def test_a_run_without_its_faults_is_another_run() -> None:
    faulty, calm = run(BRIEF, 3), run(BRIEF, 3, ())
    assert faulty.faults
    assert faulty.trace != calm.trace


def test_a_deadlock_is_a_finding_that_names_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(self: World, faults: tuple[Misfortune, ...]) -> None:
        waits = asyncio.get_running_loop().create_future()
        await asyncio.create_task(asyncio.wait_for(waits, None), name="who waits for ever")

    monkeypatch.setattr(World, "play", stuck)
    found = judged(run(BRIEF, 1)).violations
    assert [each.checker for each in found] == ["runs_to_its_end"]
    assert "Deadlock" in found[0].what
    assert "who waits for ever" in found[0].what


def test_a_failure_that_nobody_heard_of_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise RuntimeError

    async def forgetful(self: World, faults: tuple[Misfortune, ...]) -> None:
        asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(1.0)

    monkeypatch.setattr(World, "play", forgetful)
    inside = [each.what for each in judged(run(BRIEF, 1)).violations if each.checker == "nothing_fails_inside"]
    assert inside == ["An error that nobody heard of (1 times)"]


def test_an_interrupted_run_leaves_what_it_has() -> None:
    seen: list[int] = []

    def told(report: RunsReport) -> None:
        seen.append(len(report.verdicts))
        if len(seen) == 2:
            raise KeyboardInterrupt

    report = run_seeds(BRIEF, range(5), processes=1, told=told)
    assert sorted(report.verdicts) == [0, 1]
    assert not report.complete
    assert not report.is_well
    assert report.document()["seeds"] == 2


def test_what_never_happened_fails_a_long_run_and_not_a_short_one() -> None:
    usual = [name for name in SOMETIMES if name != "a clock jumped"]
    short, long = RunsReport("standard", ENOUGH_SEEDS - 1), RunsReport("standard", ENOUGH_SEEDS)
    for report in (short, long):
        report.add(verdict(seed, sometimes=usual) for seed in range(report.wanted))
    assert short.is_well
    assert short.sometimes["a clock jumped"] == 0
    assert not long.is_well
    assert long.never == ["a clock jumped"]


def test_one_violation_fails_a_report() -> None:
    report = RunsReport("standard", 1)
    report.add([verdict(7, violations=(Violation("said_once", "'hello' was delivered 2 times", 3.0),))])
    assert not report.is_well
    assert report.document()["violations"] == [
        {"seed": 7, "checker": "said_once", "what": "'hello' was delivered 2 times"}
    ]


FAULTS = tuple(
    Misfortune(float(at_s), kind, where, for_s=8.0)
    for at_s, kind, where in (
        (4, MisfortuneKind.INSTANCE_DIES, "http://i1:3001"),
        (5, MisfortuneKind.GATEWAY_DIES, "gateway-1"),
        (6, MisfortuneKind.STORE_AWAY, ""),
        (7, MisfortuneKind.INSTANCE_FREEZES, "http://i2:3001"),
    )
)


def test_shrinking_leaves_what_the_failure_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it needs the store to be away for more than a second, and nothing else."""

    def complains(faults: tuple[Misfortune, ...]) -> RunVerdict:
        needed = any(fault.kind is MisfortuneKind.STORE_AWAY and fault.for_s > 1.0 for fault in faults)
        wrong = (Violation("said_once", "twice", 9.0),) if needed else ()
        return verdict(1, violations=wrong)

    monkeypatch.setattr(shrink, "run", lambda scenario, seed, faults: faults)
    monkeypatch.setattr(shrink, "judged", complains)
    left = shrink.shrunk(BRIEF, 1, FAULTS, "said_once", told=lambda tries, faults: None)
    assert [(fault.kind, fault.for_s) for fault in left] == [(MisfortuneKind.STORE_AWAY, 2.0)]


def test_a_kept_run_is_played_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "3.json"
    first = run(BRIEF, 3)
    KeptRun(BRIEF, 3, first.faults, "said_once: once").write(path)
    again = KeptRun.read(path)
    assert (again.scenario, again.seed, again.faults) == (BRIEF, 3, first.faults)
    assert run(again.scenario, again.seed, again.faults).trace == first.trace


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"scenario": "nowhere", "seed": 1, "faults": []}'])
def test_what_is_no_run_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(NotARun, match="holds no run"):
        KeptRun.read(path)


def test_a_history_of_faults_replaces_the_seed_s_own() -> None:
    fault = replace(FAULTS[0], at_s=4.5, for_s=2.0)
    played = run(BRIEF, 5, (fault,))
    assert [event["where"] for event in played.events if event.what == "fault"] == [fault.where]
    assert judged(played).violations == ()

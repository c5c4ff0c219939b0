"""What `homing chaos` shows and says before and after a run."""

import json
import subprocess
import sys

import pytest

from homing.lab.chaos import command
from homing.lab.chaos.faults.kinds import KINDS
from homing.lab.chaos.results import Results
from homing.lab.chaos.rounds import Played
from homing.lab.chaos.soak import Growth

MIB = 1 << 20


def said(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "homing.cli", "chaos", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_kinds_are_listed_with_what_they_do_and_need() -> None:
    shown = said("--faults", "list").stdout
    for kind in KINDS.values():
        assert kind.name in shown
    listed = json.loads(said("--faults", "list", "--json").stdout)
    assert [each["fault"] for each in listed] == list(KINDS)
    assert next(each for each in listed if each["fault"] == "pooler-restart")["needs"] == [
        "a PostgreSQL of this run's own",
        "a PgBouncer before its PostgreSQL",
    ]


def test_faults_that_cannot_befall_the_fleet_are_refused_with_what_they_need() -> None:
    refused = said("--faults", "store-demoted,redis-flush")
    assert refused.returncode == 2
    assert "store-demoted needs a PostgreSQL of this run's own; redis-flush needs Redis" in refused.stderr


@pytest.mark.parametrize("duration", ["0m", "30", "half an hour", "-5m"])
def test_a_soak_takes_a_time_with_its_unit(duration: str) -> None:
    refused = said(f"--soak={duration}")
    assert refused.returncode == 2
    assert "30m, 90s or 1h" in refused.stderr


def test_what_was_not_run_is_named_at_the_end_with_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results("SQLite", 1, left_out={"redis-flush": "Redis", "redis-restart": "Redis", "disk-full": "root"})
    results.add(Played("kill", 1, "http://one", 0.0))
    command.show(results)
    shown = capsys.readouterr().out
    assert "NOT RUN: redis-flush, redis-restart: needs Redis" in shown
    assert "NOT RUN: disk-full: needs root" in shown


def test_a_process_that_grows_breaks_a_soaks_promise(capsys: pytest.CaptureFixture[str]) -> None:
    flat = Growth("Gateway 1 (7)", 1200, 120 * MIB, 121 * MIB, MIB, 40, 40, 0.0)
    grows = Growth("Instance 1 (8)", 1200, 120 * MIB, 160 * MIB, 40 * MIB, 40, 60, 20.0)
    results = Results("SQLite", 1, growths=[flat])
    results.add(Played("stall", 1, "http://one", 0.0))
    assert results.kept
    results.growths = [flat, grows]
    assert not results.kept
    command.show(results)
    shown = capsys.readouterr().out
    assert "Instance 1 (8) grew by 40.0 MiB within 20 minutes, and not 6.0" in shown
    assert "Instance 1 (8) has 20 more descriptors within 20 minutes, and not 4" in shown

"""What `homing chaos` does to what a fleet stands on, and that it is gone afterwards; in processes of their own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homing.lab.chaos.faults.ground_kinds import GROUND, WELL_WITHIN_S
from homing.lab.chaos.faults.kinds import KINDS
from homing.lab.chaos.ground.clocks import Clocks
from homing.lab.chaos.ground.equipment import Equipment
from homing.lab.chaos.ground.pipes import LogPipe
from homing.lab.chaos.stage import OWN_POSTGRES, SQLITE, StageOrder

HERE = Path(__file__).parent


def seen(trial: str, folder: Path) -> list[Any]:
    ran = subprocess.run(
        [sys.executable, str(HERE / "on_its_own.py"), trial, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent / "src")},
    )
    if "NOT RUN" in ran.stderr:
        pytest.skip(ran.stderr.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    found: list[Any] = json.loads(ran.stdout)["seen"]
    return found


def test_a_full_disk_takes_nothing_not_even_what_was_given_back_until_it_is_freed(tmp_path: Path) -> None:
    assert seen("full", tmp_path) == ["done", "ENOSPC", "ENOSPC", "done"]
    assert list(tmp_path.iterdir()) == [], "the disk is gone with its process"


def test_a_disk_comes_up_read_only_as_often_as_is_wanted(tmp_path: Path) -> None:
    assert seen("read-only", tmp_path) == ["done", "EROFS", "done", "EROFS", "unmounted"]


def test_a_name_leads_elsewhere_by_the_systems_resolver_and_all_others_stay(tmp_path: Path) -> None:
    assert seen("names", tmp_path) == [["127.0.0.1"], ["127.0.0.2"], True]
    assert "homing.test" not in Path("/etc/hosts").read_text()


def test_a_database_whose_disk_is_read_only_is_waited_for_and_then_opened(tmp_path: Path) -> None:
    first, then, again, at_last = seen("database", tmp_path)
    assert first.startswith("waits: "), first
    assert again.startswith("waits: "), again
    assert (then, at_last) == ("open", "open")


def test_an_instance_waits_for_its_journals_disk_and_tells_it_once(tmp_path: Path) -> None:
    assert seen("journal", tmp_path) == [True, ["waits"]]


def test_a_wall_clock_is_set_in_a_process_that_runs_and_the_time_since_boot_runs_on(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    (tmp_path / "tells.py").write_text(
        "import sys, time\n"
        "from homing.world import SystemClock\n"
        "for _ in sys.stdin:\n"
        "    time.sleep(0.15)\n"
        "    print(time.time(), SystemClock().now().timestamp(), time.monotonic(), flush=True)\n"
    )
    command = [sys.executable, "-m", *clocks.program("Gateway 1"), "tells"]
    path = os.pathsep.join((str(HERE.parent.parent / "src"), str(tmp_path)))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = []
    with process:
        for ahead_s in (0.0, 7200.0, -300.0):
            clocks.set("Gateway 1", ahead_s)
            process.stdin.write("\n")
            process.stdin.flush()
            told.append([float(figure) for figure in process.stdout.readline().split()])
        process.kill()
    right, forward, back = (wall - since_boot for wall, _, since_boot in told)
    assert forward - right == pytest.approx(7200, abs=1)
    assert back - right == pytest.approx(-300, abs=1)
    assert all(by_clock == pytest.approx(wall, abs=0.1) for wall, by_clock, _ in told)


async def test_a_log_pipe_closes_and_opens_again_and_sticks_when_nobody_reads_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pipe = LogPipe(tmp_path / "pipe", log)
    pipe.open()
    writes = os.open(pipe.path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(writes, b"one\n")
        await asyncio.sleep(0.05)
        pipe.close()
        with pytest.raises(BrokenPipeError):
            os.write(writes, b"nobody reads it\n")
        pipe.open()
        pipe.stick()
        with pytest.raises(BlockingIOError):
            os.write(writes, b"nobody reads on\n")
        pipe.open()
        await asyncio.sleep(0.05)
        os.write(writes, b"two\n")
        await asyncio.sleep(0.05)
    finally:
        pipe.close()
        os.close(writes)
    assert [line for line in log.read_text().splitlines() if line] == ["one", "two"]


def test_each_fault_of_the_ground_promises_all_to_be_well_within_five_seconds_of_its_end() -> None:
    assert {kind.whole_within_s for kind in GROUND} == {WELL_WITHIN_S} == {5.0}
    assert {kind.within_s for kind in GROUND} == {WELL_WITHIN_S}
    assert set(KINDS) > {kind.name for kind in GROUND}


def test_what_cannot_be_run_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.lab.chaos.ground.servers.bouncer", lambda: None)
    on_postgres = StageOrder(OWN_POSTGRES)
    assert "apt-get install pgbouncer" in (KINDS["pooler-restart"].missing(on_postgres) or "")
    assert KINDS["store-demoted"].missing(StageOrder(SQLITE)) == "a PostgreSQL of this run's own"
    assert KINDS["redis-flush"].missing(on_postgres) == "Redis"
    assert KINDS["store-demoted"].missing(on_postgres) is None


def test_a_soak_plays_what_every_process_lives_through() -> None:
    lived = {kind.name for kind in KINDS.values() if kind.is_lived_through}
    assert {"freeze", "stall", "store-restart", "gateway-descriptors"} <= lived
    assert not lived & {"kill", "terminate", "upgrade", "gateway-kill", "dies-read", "disk-full"}
    assert {kind.equipment for kind in KINDS.values() if kind.name in lived} == {Equipment.NONE}

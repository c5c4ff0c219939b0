"""A disk that is full or fails is an outage and no more: refused in a sentence, and well at once when it has passed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
OF_ITS_OWN = ["unshare", "--user", "--map-root-user", "--mount"]
"""A file system of a few megabytes is mounted where nobody else sees it, which takes no rights of root."""


def may_mount() -> bool:
    try:
        return subprocess.run([*OF_ITS_OWN, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def lived_through(mode: str, folder: Path) -> dict[str, Any]:
    alone = OF_ITS_OWN if mode == "full" else []
    src = HERE.parent.parent / "src"
    command = [*alone, sys.executable, str(HERE / "failing_disk.py"), mode, str(folder)]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(src)}
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        pytest.param(
            "full",
            "disk is full",
            marks=pytest.mark.skipif(not may_mount(), reason="NOT RUN: no file system can be mounted here (unshare)"),
        ),
        ("failing", "disk I/O error"),
    ],
)
def test_writes_are_refused_while_the_disk_fails_and_work_at_once_after(mode: str, words: str, tmp_path: Path) -> None:
    told = lived_through(mode, tmp_path)
    assert set(told["before"]["writes"]) == {"done"}
    assert all(said.startswith("unavailable: ") and words in said for said in told["during"]["writes"]), told["during"]
    assert told["during"]["reads"] == ["done"], "what is there can be read on"
    assert set(told["after"]["writes"]) == {"done"}
    assert told["after"]["reads"] == ["done"]
    assert [number for number in told["rows"] if 100 <= number < 200] == [], "what was refused did not happen"
    assert len([number for number in told["rows"] if number >= 200]) == len(told["after"]["writes"])

"""A disk that is really full: 503 for what would have to be kept, nothing half accepted, and well at once after."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_failing_disk import OF_ITS_OWN, may_mount

HERE = Path(__file__).parent
LINES = 700


@pytest.mark.skipif(not may_mount(), reason="NOT RUN: no file system can be mounted here (unshare)")
def test_with_a_full_disk_messages_batches_and_files_are_503_and_nothing_of_them_is_kept(tmp_path: Path) -> None:
    root = HERE.parent.parent
    command = [*OF_ITS_OWN, sys.executable, str(HERE / "full_disk.py"), str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HOMING_", "WHATSAPP_"))}
    env["PYTHONPATH"] = f"{root / 'src'}:{root}"
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert ran.returncode == 0, ran.stderr[-3000:]
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    for when in ("before", "after"):
        assert {what: answer[0] for what, answer in told[when].items()} == {"outbox": 202, "bulk": 202, "media": 201}, (
            told
        )
    assert told["during"]["outbox"] == [503, "directory_unavailable"]
    assert told["during"]["bulk"] == [503, "directory_unavailable"]
    assert told["during"]["media"] == [503, "media_unavailable"]
    kept = {"before outbox": 1, "before bulk": LINES, "after outbox": 1, "after bulk": LINES}
    assert told["kept"] == kept, "nothing of what was refused"
    assert (told["files"], told["halves"]) == (2, [])

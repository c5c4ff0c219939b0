"""The judge's file: what became of logins, pairings and messages, one JSON object a line, shared by all processes."""

import json
import os
import time
from pathlib import Path
from typing import Any


class Judge:
    """Appends to the file. A line is one write, so that processes do not mix theirs."""

    def __init__(self, path: Path | None, instance: str) -> None:
        self._instance = instance
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, what: str, session_id: str, **more: Any) -> None:
        """`what` is one of: client_opened, connected, second_client, two_processes, pairing_disturbed, login_deleted,
        paired, logged_out, sent."""
        if self._file is not None:
            line = {"at": time.time(), "instance": self._instance, "pid": os.getpid(), "what": what}
            os.write(self._file, json.dumps({**line, "session_id": session_id, **more}).encode() + b"\n")


def read(path: Path, *kinds: str) -> list[dict[str, Any]]:
    """The lines so far, of these kinds or of all."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if not kinds or line["what"] in kinds]

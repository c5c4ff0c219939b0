"""What happened: one JSON line for each event, in order; first ``at`` and ``event``, then its facts."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from simulated_whatsapp.ledger import timestamp

MAX_LINES = 50_000
"""Told to a reader at once."""


class Events:
    """An append-only file. What is written has reached the operating system before anybody hears of it."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._path = path
        self._clock = clock
        self._file: BinaryIO = path.open("ab")
        self.counts: Counter[str] = Counter()

    def write(self, event: str, **facts: Any) -> None:
        self.counts[event] += 1
        line = {"at": timestamp(self._clock()), "event": event} | facts
        self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._file.flush()

    def since(self, offset: int) -> tuple[list[dict[str, Any]], int]:
        """The lines from a byte of the file on, and where the next reader begins."""
        with self._path.open("rb") as file:
            file.seek(max(offset, 0))
            lines = [line for line, _ in zip(file, range(MAX_LINES), strict=False) if line.endswith(b"\n")]
        return [json.loads(line) for line in lines], max(offset, 0) + sum(map(len, lines))

    def close(self) -> None:
        self._file.close()

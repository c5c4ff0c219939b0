"""Logs that go through a pipe, as they do to a collector: which can go away, or be there and not read on."""

import asyncio
import os
from pathlib import Path

READ_BYTES = 65_536


class LogPipe:
    """From one process to the file `log`."""

    def __init__(self, path: Path, log: Path) -> None:
        self.path, self._log = path, log
        self._descriptor: int | None = None

    def open(self) -> None:
        """Read on, from here or again."""
        if not self.path.exists():
            os.mkfifo(self.path)
        if self._descriptor is None:
            # Both ends, so that no writer is waited for, and the last one's leaving is no end.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._descriptor, self._pass_on)

    def close(self) -> None:
        """Nobody reads it any more: whoever writes is told that the pipe is broken."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def stick(self) -> None:
        """It is full, and nobody reads on: whoever writes waits."""
        assert self._descriptor is not None
        asyncio.get_running_loop().remove_reader(self._descriptor)
        for size in (4096, 1):
            try:
                while True:
                    os.write(self._descriptor, b"\n" * size)
            except BlockingIOError:
                continue

    def _pass_on(self) -> None:
        assert self._descriptor is not None
        with self._log.open("ab") as file:
            file.write(os.read(self._descriptor, READ_BYTES))

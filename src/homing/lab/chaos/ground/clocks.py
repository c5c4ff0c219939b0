"""Wall clocks of processes that can be set, forward and back, while they run.

As by an operator, or a time server gone wrong: what is set is what a process believes of the day's time. The clock that
nobody sets (the time since boot) runs on, as it does on a real machine.
`python -m homing.lab.chaos.ground.clocks FILE MODULE` runs a module whose clock the file sets; for trials only.
"""

import runpy
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

READ_EVERY_S = 0.1


class Clocks:
    """One for each process, by its name; all right until one is set."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def program(self, name: str) -> tuple[str, ...]:
        """What is to run the process's module, right at first."""
        self.set(name, 0.0)
        return ("homing.lab.chaos.ground.clocks", str(self._file(name)))

    def set(self, name: str, ahead_s: float) -> None:
        """So far ahead of the right time from the next moment on; behind it, if negative."""
        unfinished = self._file(name).with_suffix(".tmp")
        unfinished.write_text(f"{ahead_s}")
        unfinished.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._folder / f"clock-{name.replace(' ', '-').lower()}"


def obey(file: Path) -> None:
    """From here on this process's wall clock is as far ahead as the file says.

    To be called before the modules that take `time.time` are loaded.
    """
    from homing.world import SystemClock

    ahead_s = _read_now_and_then(file)
    right = time.time
    time.time = lambda: right() + ahead_s()
    setattr(SystemClock, "now", lambda _: datetime.fromtimestamp(time.time(), UTC))  # noqa: B010 - a method is no variable


def _read_now_and_then(file: Path) -> Callable[[], float]:
    known_s, read_s = 0.0, float("-inf")

    def ahead_s() -> float:
        nonlocal known_s, read_s
        now_s = time.monotonic()
        if now_s - read_s >= READ_EVERY_S:
            with suppress(OSError, ValueError):
                known_s = float(file.read_text())
            read_s = now_s
        return known_s

    return ahead_s


def main() -> None:
    file, module, *arguments = sys.argv[1:]
    obey(Path(file))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""The real clock, real chance, and real death: the one place that touches them."""

import asyncio
import ctypes
import errno
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uuid_utils

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_S = 0.5


class SystemClock:
    """Time as this machine tells it. `monotonic` counts through suspends where the platform can."""

    # Asked many times for each message: not even a frame of Python in between.
    monotonic = staticmethod(partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
    now = staticmethod(partial(datetime.now, UTC))

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class SystemEntropy:
    """Chance from the operating system."""

    token = staticmethod(os.urandom)
    uuid = staticmethod(partial(next, map(str, iter(uuid_utils.uuid7, None))))

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def random(self) -> float:
        return self._random.random()


def is_descriptor_left() -> bool:
    """Whether this process may open one more file or connection."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True


def dying_at(order: Path) -> Callable[[str], None]:
    """For trials of what happens when a process dies in the middle: it kills itself at the step that the file names.

    The file goes first, so that of all processes that read it one dies, once.
    """

    def reached(step: str) -> None:
        with suppress(FileNotFoundError):
            if order.read_text().strip() == step:
                order.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """From here on this process does not outlive its parent: by the kernel on Linux, by looking elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    else:
        threading.Thread(target=_look_after, args=(parent, by), daemon=True).start()
    if os.getppid() != parent:  # it ended before it could be watched
        sys.exit(1)


def _look_after(parent: int, by: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), by)

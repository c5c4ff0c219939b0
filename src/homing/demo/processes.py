"""The demo's processes: starting them, hearing that they listen, ending them all within a few seconds."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from homing.demo.plan import Unworkable
from homing.listening import listeners

LISTENS_WITHIN_S = 30.0
ENDS_WITHIN_S = 4.0

_LOOK_EVERY_S = 0.02
_PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Child:
    """One process of the demo. It writes all that it says to `log`."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> str | None:
        """How it ended, in words; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "nothing"


def start(
    name: str,
    module: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    logs: Path,
    settings: Mapping[str, str],
    pipe: Path | None = None,
) -> Child:
    """Run a module as a process of its own, which knows of our environment only what every program needs.

    It writes to its log itself, or to the pipe that leads there.

    It gets its own session, so that a Ctrl-C on the terminal reaches the demo alone, which then ends all in order.
    """
    log = log_of(logs, name)
    command = [sys.executable, "-P", "-m", "homing.demo.child", str(os.getpid()), module, *arguments]
    log.touch()
    with _opened(pipe or log) as output:
        process = subprocess.Popen(  # noqa: S603 - our own modules, without a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(settings),
            start_new_session=True,
        )
    return Child(name, process, log)


def log_of(logs: Path, name: str) -> Path:
    """The file that has what the process says."""
    return logs / f"{name.replace(' ', '-').lower()}.log"


def _opened(output: Path) -> BinaryIO:
    """To append to; a pipe cannot be asked for its end."""
    return os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), "wb", buffering=0)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What a process of the demo is told: nothing of the caller's settings, whatever they are called."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(("LC_", "PYTHON", "PG"))
    }
    return passed_on | dict(settings)


async def announced(child: Child) -> dict[str, Any]:
    """The line of JSON that a process prints once it listens. Raises Unworkable with its last words instead."""
    deadline_s = time.monotonic() + LISTENS_WITHIN_S
    while time.monotonic() < deadline_s:
        found = _announcement(child)
        if found is not None:
            return found
        check_alive(child)
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Unworkable(
        f"{child.name} did not listen within {LISTENS_WITHIN_S:.0f} s; its last words: {child.last_words()}"
    )


def check_alive(child: Child) -> None:
    """Raises Unworkable with the last words of a process that ended."""
    if child.ended is not None:
        raise Unworkable(f"{child.name} ended while it started ({child.ended}): {child.last_words()}")


def _announcement(child: Child) -> dict[str, Any] | None:
    complete, _, _ = child.log.read_text(errors="replace").rpartition("\n")
    for line in complete.splitlines():
        if line.startswith(f'{{"pid": {child.pid},'):
            found: dict[str, Any] = json.loads(line)
            return found
    return None


async def end(children: Sequence[Child]) -> None:
    """End them all: politely, and after a few seconds without asking. None is left when this returns."""
    for child in children:
        _signal(child, signal.SIGTERM)
    deadline_s = time.monotonic() + ENDS_WITHIN_S
    while any(child.ended is None for child in children) and time.monotonic() < deadline_s:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_EVERY_S)
    for child in children:
        _signal(child, signal.SIGKILL)
        child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    if child.ended is None:
        child.process.send_signal(number)


def check_free(ports: Sequence[int]) -> None:
    """Raises Unworkable naming the first port that somebody else listens on."""
    for port in ports:
        try:
            for probe in listeners("localhost", port, backlog=1):
                probe.close()
        except OSError as error:
            raise Unworkable(
                f"Port {port} cannot be had ({error.strerror or error}): end what listens there, or choose others"
                " with --port and --instance-ports"
            ) from error

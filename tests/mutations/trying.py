"""Trying one probe on a copy: does anything complain, what, and how soon?"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from tests.mutations.copies import Copy
from tests.mutations.defect import Defect, Probe, Seeds, Suite

_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_SEED = re.compile(r"^seed .*$", re.MULTILINE)
PROBE_WITHIN_S = 150.0
NO_END = f"it came to no end within {PROBE_WITHIN_S:.0f} s"
NOTHING_FAILED = 0
SOMETHING_FAILED = 1


class CannotTry(Exception):
    """A probe came to no verdict: it could not be run. The message says what it said."""


@dataclass(frozen=True, slots=True)
class Caught:
    """Who noticed, what they say, and after how many seconds of looking."""

    by: str
    what: str
    after_s: float
    is_a_test: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """Nobody noticed."""

    after_s: float


async def tried(copy: Copy, defect: Defect) -> Caught | Missed:
    """What became of the defect. Raises CannotTry and Outdated."""
    began_s = time.monotonic()
    for probe in probes_of(defect):
        with copy.with_defect(defect):
            complaint = await complaint_of(copy, probe)
        if complaint == NO_END and await complaint_of(copy, probe) == NO_END:
            raise CannotTry(f"{probe} comes to no end without the defect either: this machine is too busy for it")
        if complaint is not None:
            is_a_test = isinstance(probe, Suite) and complaint.startswith("tests/")
            return Caught(str(probe), complaint, time.monotonic() - began_s, is_a_test)
    return Missed(time.monotonic() - began_s)


def probes_of(defect: Defect) -> Sequence[Probe]:
    """Its own, and the simulator at last."""
    last = () if any(isinstance(probe, Seeds) for probe in defect.probes) else (Seeds(),)
    return (*defect.probes, *last)


async def complaint_of(copy: Copy, probe: Probe) -> str | None:
    """The first complaint; None if there is none. Whoever hangs complains as well."""
    code, said = await _run(copy, _command(probe))
    if code == NOTHING_FAILED:
        return None
    if code is None:
        return NO_END
    found = (_FAILED if isinstance(probe, Suite) else _SEED).search(said)
    if code != SOMETHING_FAILED or found is None:
        raise CannotTry(f"{probe} could not be tried (exit code {code}): {said[-600:]}")
    return found[1] if isinstance(probe, Suite) else found[0]


def _command(probe: Probe) -> list[str]:
    match probe:
        case Suite(files=files):
            return ["-m", "pytest", "-x", "--tb=no", "-m", "not e2e and not slow", *files]
        case Seeds(scenario=scenario, many=many):
            return ["-m", "tests.mutations.seeds", scenario, str(many)]
        case _:
            assert_never(probe)


async def _run(copy: Copy, command: Sequence[str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        cwd=copy.root,
        env=copy.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            said, _ = await process.communicate()
        return process.returncode, said.decode(errors="replace")
    except TimeoutError:
        return None, ""
    finally:
        # With everything that it started.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

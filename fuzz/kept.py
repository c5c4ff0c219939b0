"""The inputs that are kept, a small file each: every one reached something that none of the others does."""

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = Path(__file__).parent / "corpus"
LONGEST = 4_096
"""Bytes of an input that is kept; what a longer one reaches, a shorter one nearly always does too."""

Reached = frozenset[tuple[str, int, int]]
"""Steps from line to line, by file."""


def kept(name: str) -> list[Path]:
    """The files kept for a parser."""
    return sorted((FOLDER / name).glob("*"))


def keep(name: str, inputs: Iterable[bytes]) -> list[Path]:
    """Write these as what is kept for a parser, in place of what was. What once did harm (`found-…`) stays."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in kept(name):
        if not old.name.startswith("found-"):
            old.unlink()
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return kept(name)


def fewest(inputs: Iterable[bytes], check: Callable[[bytes], None], below: str) -> list[bytes]:
    """The shortest inputs that together reach all that any of these reaches in the code below a folder."""
    found: list[bytes] = []
    known: set[tuple[str, int, int]] = set()
    for data in sorted({each for each in inputs if len(each) <= LONGEST}, key=lambda each: (len(each), each)):
        fresh = reached(data, check, below) - known
        if fresh:
            found.append(data)
            known |= fresh
    return found


def reached(data: bytes, check: Callable[[bytes], None], below: str) -> Reached:
    """What one input runs through."""
    steps: set[tuple[str, int, int]] = set()

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if event != "call" or below not in file:
            return None
        last = frame.f_lineno

        def line(frame: FrameType, _event: str, _: Any) -> Any:
            nonlocal last
            steps.add((file, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        check(data)
    finally:
        sys.settrace(before)
    return frozenset(steps)

"""The keyboard: which page, how far down, and what is looked for. The keys are those of k9s and less."""

import codecs
import os
import re
import select
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum


class ScreenPage(StrEnum):
    """What fills the screen below the first sentence."""

    NOW = "now"
    INSTANCES = "instances"
    SESSIONS = "sessions"
    MOVES = "moves"
    ALERTS = "alerts"
    KEYS = "keys"


_PAGES = dict(zip("12345?", ScreenPage, strict=True))
_DOWN = {"j": 1, "\x1b[B": 1, "k": -1, "\x1b[A": -1, " ": 20, "\x1b[6~": 20, "b": -20, "\x1b[5~": -20}
ENTER, ESCAPE, BACK = ("\r", "\n"), "\x1b", ("\x7f", "\b")
GONE = "\x04"
"""The terminal is gone, or Ctrl-D: nobody looks any more."""
_KEY = re.compile(r"\x1b\[[0-9;]*[~A-Za-z]|\x1bO[A-Za-z]|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What the person looks at. `typing`: what is typed belongs to `wanted`, the text that rows must have."""

    page: ScreenPage = ScreenPage.NOW
    down: int = 0
    wanted: str = ""
    typing: bool = False
    over: bool = False


def pressed(looking: LookedAt, key: str) -> LookedAt:
    """What is looked at after a key. Keys that mean nothing change nothing."""
    if key in (GONE, "\x03"):
        return replace(looking, over=True)
    if looking.typing:
        return _typed(looking, key)
    if key == "q":
        return replace(looking, over=True)
    if key == "/":
        return replace(looking, typing=True, wanted="", down=0)
    if key == ESCAPE:
        return replace(looking, wanted="", down=0)
    if key == "g":
        return replace(looking, down=0)
    if key in _PAGES:
        return replace(looking, page=_PAGES[key], down=0)
    return replace(looking, down=max(0, looking.down + _DOWN.get(key, 0)))


def _typed(looking: LookedAt, key: str) -> LookedAt:
    if key in ENTER:
        return replace(looking, typing=False)
    if key == ESCAPE:
        return replace(looking, typing=False, wanted="")
    if key in BACK:
        return replace(looking, wanted=looking.wanted[:-1])
    return replace(looking, wanted=looking.wanted + key) if key.isprintable() and len(key) == 1 else looking


@contextmanager
def keyboard() -> Iterator["Keyboard"]:
    """Keys as they are pressed, until the block ends; none where standard input is no terminal."""
    if not sys.stdin.isatty():
        yield Keyboard(None)
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Keyboard:
    """Reads what a terminal sends, key by key however many come at once; one with an escape sequence comes whole."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._pressed: deque[str] = deque()
        self._text = codecs.getincrementaldecoder("utf-8")("replace")

    def key(self, wait_s: float) -> str | None:
        """The next key, or None if none is pressed for so long."""
        if self._descriptor is None:
            select.select([], [], [], wait_s)
            return None
        if not self._pressed and select.select([self._descriptor], [], [], wait_s)[0]:
            came = _read(self._descriptor)
            self._pressed.extend(_KEY.findall(self._text.decode(came)) if came else [GONE])
        return self._pressed.popleft() if self._pressed else None


def _read(descriptor: int) -> bytes:
    """Nothing where the terminal is gone."""
    try:
        return os.read(descriptor, 1_024)
    except OSError:
        return b""

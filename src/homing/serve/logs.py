"""How the log looks, and how it is written: readable on a terminal, JSON lines elsewhere, one event each.

A log that cannot be written (a closed pipe, a full disk) costs lines, which are counted, and never a request. What
stays up hands its lines to a thread, so that a log which nobody reads on (a full pipe) keeps nobody waiting either.
"""

import atexit
import logging
import os
import queue
import sys
import threading
from collections.abc import Sequence
from typing import Any, TextIO

import structlog

from homing.decide.access import log_masking

WAITING_MAX = 10_000
"""Lines that may wait to be written; beyond, new ones are lost."""
_GOODBYE_S = 1.0
_JOINED_BYTES = 65_536


class LineWriter:
    """Writes lines to a stream, and counts those that it could not write. `lost` is how many so far."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def line(self, text: str) -> None:
        self.write([text])

    def write(self, lines: Sequence[str]) -> None:
        try:
            _write_whole(self._stream, "".join(f"{line}\n" for line in lines))
        except (OSError, ValueError):  # ValueError: the stream was closed
            self.lost += len(lines)

    def close(self) -> None:
        """Nothing is written afterwards."""


class BackgroundWriter(LineWriter):
    """The same in a thread of its own, in the order of the lines' coming. A line keeps nobody waiting."""

    def __init__(self, stream: TextIO, *, waiting_max: int = WAITING_MAX) -> None:
        super().__init__(stream)
        self._waiting_max = waiting_max
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="homing-log", daemon=True)
        self._thread.start()

    def line(self, text: str) -> None:
        if self._lines.qsize() >= self._waiting_max:
            self.lost += 1
        else:
            self._lines.put(text)

    def close(self, *, within_s: float = _GOODBYE_S) -> None:
        """Write what waits, for as long as that. Nothing is written afterwards."""
        self._lines.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        last = False
        while not last:
            lines, last = self._next_lines()
            if lines:
                self.write(lines)

    def _next_lines(self) -> tuple[list[str], bool]:
        """What waits, up to what is written at once; whether it is the last."""
        lines: list[str] = []
        size = 0
        line = self._lines.get()
        while line is not None:
            lines.append(line)
            size += len(line)
            if size >= _JOINED_BYTES or self._lines.empty():
                return lines, False
            line = self._lines.get()
        return lines, True


_writer: LineWriter | None = None


def lost() -> int:
    """How many lines of this process's log could not be written."""
    return _writer.lost if _writer is not None else 0


def configure(
    level: str, style: str, *, background: bool = False, libraries: str = "warning", phones: bool = False
) -> None:
    """Send every log line to stderr. `style` is auto, text or json; `background`: in a thread of its own.

    `phones`: phone numbers are shown in full. `libraries`: the level of what is logged by the standard library, as
    libraries do, and instances.
    """
    global _writer
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else structlog.processors.JSONRenderer()
    )
    _writer = BackgroundWriter(sys.stderr) if background else LineWriter(sys.stderr)
    atexit.register(_writer.close)
    logging.basicConfig(level=libraries.upper(), handlers=[_Standard()], force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            *(() if phones else (_masked,)),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )


def _masked(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return log_masking.masked(line)


class _Lines:
    """What structlog writes its lines to."""

    def msg(self, message: str) -> None:
        assert _writer is not None
        _writer.line(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _Standard(logging.Handler):
    """Writes what the standard library's loggers are told, as lines of ours. It never raises, whatever that is."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        assert _writer is not None
        try:
            _writer.line(self.format(record))
        except Exception:  # noqa: BLE001 - the words of an argument may raise anything
            _writer.lost += 1


def _write_whole(stream: TextIO, text: str) -> None:
    """Past the stream's own buffer where it has a descriptor: what failed once must not be written later in parts."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        stream.write(text)
        stream.flush()
        return
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        left = left[os.write(descriptor, left) :]

"""Lines in a file that outlive the process: appended, synchronised, now and then rewritten without what is over.

All of it blocks. A line is durable once ``append`` returned; whatever of it a crash left behind is no line.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

HEADER = b'{"line":"journal","version":1}\n'


class JournalInUse(Exception):
    """Another process writes this journal. The message is one sentence for the operator."""


class NotAJournal(Exception):
    """The file is something else, and is left alone. The message is one sentence for the operator."""


class JournalFile:
    """The file at ``path``, ours alone until ``close``. Raises ``JournalInUse``, ``NotAJournal`` or ``OSError``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.size = 0
        self._lock: int | None = _lock(path)
        self._descriptor: int | None = None
        self._torn = False

    def lines(self) -> list[bytes]:
        """What is there, the last line perhaps incomplete."""
        content = self.path.read_bytes() if self.path.exists() else b""
        if content and not content.startswith(HEADER):
            raise NotAJournal(f"{self.path} is not a journal of this version; name another file.")
        return [line for line in content[len(HEADER) :].split(b"\n") if line]

    def append(self, lines: Iterable[bytes], *, synchronise: bool) -> None:
        """Add complete lines. After a failure the same lines are to be added again."""
        assert self._descriptor is not None, "rewrite comes first"
        content = b"".join(lines)
        if self._torn:
            content = b"\n" + content
        self._torn = True
        _write(self._descriptor, content)
        if synchronise:
            os.fsync(self._descriptor)
        self._torn = False
        self.size += len(content)

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Have these lines alone; readers and crashes see either the old file or the new one."""
        content = HEADER + b"".join(lines)
        unfinished = self.path.with_name(f"{self.path.name}.tmp")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write(descriptor, content)
            os.fsync(descriptor)
            unfinished.replace(self.path)
        except OSError:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        before, self._descriptor = self._descriptor, descriptor
        self.size, self._torn = len(content), False
        if before is not None:
            os.close(before)
        _synchronise(self.path.parent)

    def close(self) -> None:
        held, self._descriptor, self._lock = (self._descriptor, self._lock), None, None
        for descriptor in held:
            if descriptor is not None:
                os.close(descriptor)


def _lock(path: Path) -> int:
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalInUse(f"The journal {path} belongs to another running instance; name another file.") from None
    return descriptor


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _synchronise(folder: Path) -> None:
    """A renamed file is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

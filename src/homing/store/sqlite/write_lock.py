"""Which process has the write lock of a database file.

The system tells (/proc/locks). To ask by opening the lock's file would be a trap: when a process closes any descriptor
of it, the system takes away all locks that SQLite holds there in the same process.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from homing.model.locks import LockHolder
from homing.store.sqlite.process_id import mark_of

_WRITE_LOCK = "120"
"""The byte of the `-shm` file that a writer locks (SQLite's WAL mode, WAL_WRITE_LOCK)."""
_STOPPED = ("T", "t")


class WriteLock:
    """Of one file. Where the system does not tell, nobody ever seems to hold it."""

    def __init__(self, database: Path, proc: Path = Path("/proc")) -> None:
        self._shared, self._proc = database.with_name(f"{database.name}-shm"), proc

    def holder(self) -> LockHolder | None:
        """Who has the lock at this moment; None if nobody has, or he is gone by now."""
        try:
            shared = self._shared.stat()
            pid = next(
                (pid for pid, inode in self._held() if inode == shared.st_ino and self._opens(pid, shared)), None
            )
            return None if pid is None else self._described(pid)
        except (OSError, ValueError):
            return None

    def end(self, holder: LockHolder) -> bool:
        """kill -9, if it still has the lock and still stands. Whether that was so."""
        if self.holder() != holder:
            return False
        try:
            os.kill(holder.pid, signal.SIGKILL)
        except OSError:
            return False
        return True

    def _held(self) -> list[tuple[int, int]]:
        """The process and the inode of what may be the write lock of a SQLite file, of all on this machine."""
        rows = [line.split() for line in (self._proc / "locks").read_text().splitlines()]
        return [
            (int(row[4]), int(row[5].rpartition(":")[2]))
            for row in rows
            if len(row) == 8 and row[1] == "POSIX" and row[3] == "WRITE" and row[6:] == [_WRITE_LOCK, _WRITE_LOCK]
        ]

    def _opens(self, pid: int, shared: os.stat_result) -> bool:
        """Whether the process has this very file open: the same inode may be another file of another disk."""
        for descriptor in (self._proc / str(pid) / "fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(descriptor.stat(), shared):
                    return True
        return False

    def _described(self, pid: int) -> LockHolder:
        about = self._proc / str(pid)
        command = tuple((about / "cmdline").read_text(errors="replace").rstrip("\0").split("\0"))
        state = (about / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return LockHolder(pid, command, is_stopped=state in _STOPPED, mark=mark_of(pid, self._proc))

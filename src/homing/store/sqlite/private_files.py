"""Database files that only their owner reads: they hold messages, phones and logins."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_BESIDE = ("", "-wal", "-shm", "-journal")


def keep_private(database: Path) -> None:
    """Create the file for its owner alone; SQLite gives those beside it the same rights.

    From files that are there already only those outside their group are kept out: an operator may share them with a
    group. They are not opened, since to close them would give up the locks that this process has on them. What
    cannot be created or changed is left to SQLite, which says why.
    """
    with suppress(OSError):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for suffix in _BESIDE:
        _close_to_others(database.with_name(database.name + suffix))


def _close_to_others(path: Path) -> None:
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_IRWXO and path.is_file():
            path.chmod(mode & ~stat.S_IRWXO)

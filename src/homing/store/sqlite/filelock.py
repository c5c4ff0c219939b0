"""Who serves a database file: one gateway at a time."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from homing.model.disks import may_pass
from homing.ports import StoreUnavailable
from homing.store.db.database import StoreMisconfigured


class FileLock:
    """The right to serve a file alone. The system takes it back when this process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def of(cls, path: Path) -> Self:
        """Take the lock of this database file.

        Raises StoreMisconfigured, naming who has it, and StoreUnavailable of a disk that may do it later.
        """
        lock_path = path.with_name(f"{path.name}.gateway-lock")
        try:
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            kind = StoreUnavailable if may_pass(error) else StoreMisconfigured
            raise kind(f"the lock {lock_path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreMisconfigured(
                f"{path} is already served by another gateway (pid {holder or 'unknown'});"
                " stop that one, or give this one a database of its own"
            ) from error
        with suppress(OSError):  # on a full disk it is ours without a name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)

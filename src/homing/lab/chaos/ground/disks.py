"""Disks that can be filled and freed, and that can come up read-only: file systems in memory, of this run's own."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from homing.lab.chaos.ground import mounts

REFILLED_EVERY_S = 0.05
_FILLER = "filler"
_PIECES = (1 << 20, 1 << 16, 4096, 512)


class Disk:
    """One of them, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling: asyncio.Task[None] | None = None
        self.mounts = 1
        """How many lie over each other."""

    def fill(self) -> None:
        """Take every byte, and what others give back from here on, until it is freed."""
        _take_all(self.path / _FILLER)
        self._filling = asyncio.get_running_loop().create_task(self._keep_full())

    async def free(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
            self._filling = None
        (self.path / _FILLER).unlink(missing_ok=True)

    def become_read_only(self) -> None:
        """For whoever opens a file from here on; the system lets nobody forbid what is open already.

        Raises mounts.Unmountable.
        """
        mounts.bind(self.path, self.path)
        self.mounts += 1
        mounts.remount(self.path, read_only=True)

    def become_writable(self) -> None:
        mounts.remount(self.path, read_only=False)

    async def _keep_full(self) -> None:
        while True:
            await asyncio.sleep(REFILLED_EVERY_S)
            _take_all(self.path / _FILLER)


@dataclass(frozen=True, slots=True)
class Disks:
    """One for the database, one for the instances' journals, one for the logs."""

    database: Disk
    journals: Disk
    logs: Disk


@asynccontextmanager
async def open_disk(path: Path, size_bytes: int, user: str | None = None) -> AsyncIterator[Disk]:
    """A disk at a folder that is there. Raises mounts.Unmountable."""
    mounts.tmpfs(path, size_bytes, user)
    disk = Disk(path)
    try:
        yield disk
    finally:
        with suppress(OSError):  # one that is read-only goes as it is
            await disk.free()
        with suppress(mounts.Unmountable):
            for _ in range(disk.mounts):
                mounts.unmount(path)


def keep(disk: Disk, folder: Path) -> None:
    """A copy of all that is on it, as it is gone with the run."""
    with suppress(OSError, shutil.Error):
        shutil.copytree(disk.path, folder / disk.path.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_FILLER))


def _take_all(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        for size in _PIECES:
            with suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass

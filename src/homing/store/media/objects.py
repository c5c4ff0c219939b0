"""Files in an object store: a local folder, S3, Google Cloud Storage, Azure, all behind `obstore`.

They come in over a file of our own on local disk, so that one is whole, measured and judged before the store sees it.
"""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homing.decide.media.sniffing import HEAD_BYTES
from homing.model.sends.calls import MediaUnavailable
from homing.ports.sends.media import Spool, WholeFile

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PIECE_BYTES = 256 * 1024
PART_BYTES = 5 * 1024 * 1024
"""Of an upload to a cloud, which takes no smaller ones; this much of a file at a time is in memory."""
PUTS_AT_ONCE = 4
SPOOL_AT_MOST_S = 24 * 3600


class ObjectMedia:
    """`ports.media.MediaStore`. `spools` is the folder of the files on their way in."""

    def __init__(self, url: str, spools: Path) -> None:
        """`url`: `file:///var/lib/homing/media`, `s3://bucket/prefix`, `gs://…`, `az://…`.

        A cloud's credentials come from the environment, as its own tools read them. Nothing is opened, and no folder
        made, before the first file.
        """
        self._url, self._spools = url, spools
        self._puts = asyncio.Semaphore(PUTS_AT_ONCE)

    @property
    def _folder(self) -> Path | None:
        return Path(self._url.removeprefix("file://")) if self._url.startswith("file://") else None

    @cached_property
    def _objects(self) -> "ObjectStore":
        from obstore.store import LocalStore, from_url

        if self._folder is not None:
            return LocalStore(self._folder, mkdir=True, automatic_cleanup=True)
        return from_url(self._url)

    async def spool(self) -> "FileSpool":
        begun: FileSpool = await _beside(FileSpool.begun, self._spools)
        return begun

    async def keep(self, spool: Spool, id: str) -> None:
        assert isinstance(spool, FileSpool)
        try:
            async with self._puts:
                await self._objects.put_async(id, spool.path, chunk_size=PART_BYTES, max_concurrency=1)
        except Exception as error:
            raise _unavailable(error) from error

    async def copy(self, id: str, to: str) -> None:
        try:
            async with self._puts:
                await self._objects.copy_async(id, to)
        except Exception as error:
            raise _unavailable(error) from error

    async def chunks(self, id: str) -> AsyncIterator[bytes]:
        try:
            found = await self._objects.get_async(id)
            async for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)
        except Exception as error:
            raise _unavailable(error) from error

    async def forget_before(self, day: date) -> int:
        gone = 0
        if self._folder is not None and not self._folder.is_dir():
            return gone
        try:
            await _beside(_sweep, self._spools)
            days = await self._objects.list_with_delimiter_async()
            for prefix in days["common_prefixes"]:
                if _day_of(prefix) is not None and prefix < day.isoformat():
                    gone += await self._forget(prefix)
        except Exception as error:
            raise _unavailable(error) from error
        return gone

    async def _forget(self, prefix: str) -> int:
        gone = 0
        async for rows in self._objects.list(prefix, chunk_size=500):
            paths = [row["path"] for row in rows]
            await self._objects.delete_async(paths)
            gone += len(paths)
        return gone


class FileSpool:
    """`ports.media.Spool` as a nameless-to-others file of its own."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        self._hash, self._size, self._head = hashlib.sha256(), 0, b""

    @classmethod
    def begun(cls, folder: Path) -> "FileSpool":
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix="in-")
        return cls(Path(name), os.fdopen(handle, "wb"))

    async def write(self, piece: bytes) -> None:
        await _beside(self._write, piece)

    def _write(self, piece: bytes) -> None:
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]
        self._hash.update(piece)
        self._size += len(piece)
        self._file.write(piece)

    async def whole(self) -> WholeFile:
        await _beside(self._file.close)  # what the disk has no room for shows here at the latest
        return WholeFile(self._head, self._size, self._hash.hexdigest())

    async def discard(self) -> None:
        with suppress(MediaUnavailable):
            await _beside(self._file.close)
        with suppress(OSError):
            await asyncio.to_thread(self.path.unlink, missing_ok=True)


async def _beside(do: Any, *given: Any) -> Any:
    """Disk work beside the loop. Raises MediaUnavailable."""
    try:
        return await asyncio.to_thread(do, *given)
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> MediaUnavailable:
    """The first line alone: some stores append how they are set up."""
    return MediaUnavailable(str(error).partition("\n")[0][:300] or type(error).__name__)


def _sweep(spools: Path) -> None:
    """What a gateway that was killed left on its way in."""
    for path in spools.glob("in-*"):
        if time.time() - path.stat().st_mtime > SPOOL_AT_MOST_S:
            path.unlink(missing_ok=True)


def _day_of(prefix: str) -> date | None:
    try:
        return date.fromisoformat(prefix.strip("/"))
    except ValueError:
        return None

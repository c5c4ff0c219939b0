"""Files on their way to WhatsApp, in pieces, and those that people sent, to be taken from it.

Of what devices upload nothing is kept but the hash; what people send is kept in a folder, each under its hash.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PIECE_BYTES = 256 * 1024
"""A file is given out in pieces of so many bytes."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A whole file: the SHA-256 of its bytes in hex, and how many they were."""

    sha256: str
    size: int


@dataclass(slots=True)
class _Unfinished:
    hash: Any = field(default_factory=hashlib.sha256)
    size: int = 0


class Uploads:
    """The unfinished files of every connection. `folder` holds those that people sent; None: nobody sends any."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._unfinished: dict[tuple[str, str], _Unfinished] = {}

    def add(self, connection: str, name: str, piece: bytes, last: bool, *, keep: bool = False) -> UploadedFile | None:
        """The whole file, once its last piece is there. Raises ValueError if it is to be kept without a folder."""
        file = self._unfinished.setdefault((connection, name), _Unfinished())
        file.hash.update(piece)
        file.size += len(piece)
        if keep:
            self._append(connection, name, piece)
        if not last:
            return None
        del self._unfinished[connection, name]
        whole = UploadedFile(file.hash.hexdigest(), file.size)
        if keep:
            self._unfinished_path(connection, name).rename(self._path(whole.sha256))
        return whole

    def kept(self, sha256: str) -> bool:
        """Whether somebody sent this file."""
        return bool(_SHA256.fullmatch(sha256)) and self._folder is not None and self._path(sha256).exists()

    def piece(self, sha256: str, at: int) -> bytes:
        """The bytes of a kept file from there on, `PIECE_BYTES` at the most; empty at its end."""
        with self._path(sha256).open("rb") as file:
            file.seek(at)
            return file.read(PIECE_BYTES)

    def drop(self, connection: str) -> None:
        """The connection is gone, and whatever it did not finish."""
        for key in [key for key in self._unfinished if key[0] == connection]:
            del self._unfinished[key]
            if self._folder is not None:
                with suppress(OSError):
                    self._unfinished_path(*key).unlink()

    def _append(self, connection: str, name: str, piece: bytes) -> None:
        path = self._unfinished_path(connection, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(piece)

    def _unfinished_path(self, connection: str, name: str) -> Path:
        return self._path(f"{connection}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.part")

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise ValueError("there is no folder for files")
        return self._folder / name

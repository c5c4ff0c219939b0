"""Files on their way to WhatsApp, in pieces: of none more is kept than its hash so far."""

import hashlib
from dataclasses import dataclass, field
from typing import Any


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
    """The unfinished files of every connection."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[str, str], _Unfinished] = {}

    def add(self, connection: str, name: str, piece: bytes, last: bool) -> UploadedFile | None:
        """The whole file, once its last piece is there."""
        file = self._unfinished.setdefault((connection, name), _Unfinished())
        file.hash.update(piece)
        file.size += len(piece)
        if not last:
            return None
        del self._unfinished[connection, name]
        return UploadedFile(file.hash.hexdigest(), file.size)

    def drop(self, connection: str) -> None:
        """The connection is gone, and whatever it did not finish."""
        for key in [key for key in self._unfinished if key[0] == connection]:
            del self._unfinished[key]

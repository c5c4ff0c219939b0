"""Where files are while messages need them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from homing.model.sends.calls import MediaSource
from homing.model.sends.content import KeptMedia


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that is whole, before anybody else can see it: its first bytes, its size, its SHA-256 in hex."""

    head: bytes
    size: int
    sha256: str


class Spool(Protocol):
    """A file on its way in, on disk and not in memory. Raises MediaUnavailable where there is no room for it."""

    async def write(self, piece: bytes) -> None: ...

    async def whole(self) -> WholeFile: ...

    async def discard(self) -> None:
        """Whatever became of it, nothing of it is left here."""
        ...


class MediaStore(Protocol):
    """Files by their ids, `<day until which they are kept>/<name>`. Raises MediaUnavailable."""

    async def spool(self) -> Spool: ...

    async def keep(self, spool: Spool, id: str) -> None:
        """All of it, or nothing."""
        ...

    async def copy(self, id: str, to: str) -> None:
        """The same bytes under another id too; once more changes nothing."""
        ...

    def chunks(self, id: str) -> AsyncIterator[bytes]:
        """Its bytes from the beginning. Raises MediaUnavailable, for one that is not there too."""
        ...

    async def forget_before(self, day: date) -> int:
        """Delete those that were to be kept until earlier days; how many they were."""
        ...


class OutgoingFiles(Protocol):
    """Files as gateways are given them."""

    def source(self, media: KeptMedia, file_name: str | None) -> MediaSource: ...

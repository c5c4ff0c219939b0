"""The files that messages have, read from where the gateway says that they are, piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp

from homing.model.sends.content import KeptMedia, MediaContent

PIECE_BYTES = 256 * 1024
FILE_MAX_BYTES = 2 * 1024**3
"""WhatsApp takes no larger one."""
_NAMES_TYPE = "application/octet-stream"

OpenFile = Callable[[str], AsyncIterator[bytes]]
"""The bytes at a URL. Raises FileUnreadable."""


class FileUnreadable(Exception):
    """Nobody was written to. The message says what was met."""


class HttpFiles:
    """Files over HTTP. Each has ``within_s`` and as long as its bytes take at ``slowest_bytes_s``, and something of it
    has to come every ``stall_s``. Redirects are not followed: the gateway names its own.
    """

    def __init__(self, *, within_s: float = 60.0, slowest_bytes_s: float = 128 * 1024, stall_s: float = 20.0) -> None:
        self._within_s, self._slowest_bytes_s = within_s, slowest_bytes_s
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=stall_s, sock_read=stall_s)
        self._session: aiohttp.ClientSession | None = None

    async def open(self, url: str) -> AsyncIterator[bytes]:
        """The bytes at a URL. Raises FileUnreadable."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        now_s = asyncio.get_running_loop().time
        begun_s = now_s()
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise FileUnreadable(f"the gateway answered {answer.status}")
                most_s = self._within_s + (answer.content_length or 0) / self._slowest_bytes_s
                async for piece in answer.content.iter_chunked(PIECE_BYTES):
                    if now_s() - begun_s > most_s:
                        raise FileUnreadable(f"it had not come within {most_s:.0f} s")
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FileUnreadable(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class CountedFile:
    """A file on its way through: ``size`` of it so far, in bytes."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.size = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises FileUnreadable, of one that never ends too."""
        async for piece in self._pieces:
            self.size += len(piece)
            if self.size > FILE_MAX_BYTES:
                raise FileUnreadable(f"it has more than {FILE_MAX_BYTES} bytes")
            yield piece


def media_type(content: MediaContent) -> str:
    """What the gateway found the file to be; unknown where another caller names a URL alone."""
    return content.media.mime_type if isinstance(content.media, KeptMedia) else _NAMES_TYPE

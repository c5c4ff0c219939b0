"""WhatsApp's hosts for files, over HTTPS: what is put there, and what is read from there, is encrypted already."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from homing.instance.engine import FileGone

PIECE_BYTES = 256 * 1024
WITHIN_S = 110.0
"""How long one file may take, either way."""
CONNECT_WITHIN_S = 10.0
_AS_THE_WEB = {"Origin": "https://web.whatsapp.com"}
_GONE = (404, 410)
_NOT_LET_IN = (401, 403)


@dataclass(frozen=True, slots=True)
class MediaAccess:
    """Where files go at the moment, as HOST or HOST:PORT, and the word that lets us in."""

    hosts: tuple[str, ...]
    auth: str


AskAccess = Callable[[bool], Awaitable[MediaAccess]]
"""Asks WhatsApp for it; anew, or as it was told last. Raises ConnectionError."""


class MediaHosts:
    """The wire to them. Whom Node is told to trust beside its own list (NODE_EXTRA_CA_CERTS) is trusted here, too."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def put(self, ask: AskAccess, path: str, query: Mapping[str, str], file: IO[bytes]) -> dict[str, Any]:
        """What a host says of the file that it has now. Raises ConnectionError if none has it."""
        problem = "it named no host"
        for anew in (False, True):
            access = await ask(anew)
            for host in access.hosts:
                file.seek(0)
                url = f"https://{host}{path}?auth={quote(access.auth, safe='')}"
                try:
                    return await self._put(url + "".join(f"&{name}={quote(of)}" for name, of in query.items()), file)
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                    problem = f"{host}: {str(error) or type(error).__name__}"
        raise ConnectionError(f"WhatsApp's hosts for files did not take it; {problem}")

    async def _put(self, url: str, file: IO[bytes]) -> dict[str, Any]:
        headers = {**_AS_THE_WEB, "Content-Type": "application/octet-stream"}
        # The session closes what it sent, and another host may have to get it, too.
        async with self._http().post(URL(url, encoded=True), data=_pieces(file), headers=headers) as answer:
            if answer.status >= 300:
                raise ValueError(f"it answered {answer.status}")
            told = await answer.json(content_type=None)
        where = told.get("direct_path") if isinstance(told, dict) else None
        if not isinstance(where, str):
            raise ValueError("its answer did not say where the file is")  # noqa: TRY004 - of an answer
        return dict(told)

    async def read(self, ask: AskAccess, path: str) -> AsyncIterator[bytes]:
        """The bytes at a path. Raises FileGone or ConnectionError; of no host after the first byte came."""
        if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path or "\\" in path:
            raise FileGone("the message names no place that WhatsApp's hosts have")
        problem, gone = "WhatsApp named no host for files", False
        for host in (await ask(False)).hosts:
            try:
                async with self._http().get(
                    URL(f"https://{host}{path}", encoded=True), headers=_AS_THE_WEB, allow_redirects=False
                ) as answer:
                    gone = gone or answer.status in _GONE or answer.status in _NOT_LET_IN
                    problem = f"{host} answered {answer.status}"
                    if answer.status == 200:
                        async for piece in answer.content.iter_chunked(PIECE_BYTES):
                            yield piece
                        return
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise ConnectionError(f"{host}: {str(error) or type(error).__name__}") from error
        raise FileGone(problem) if gone else ConnectionError(problem)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=WITHIN_S, connect=CONNECT_WITHIN_S)
            connector = aiohttp.TCPConnector(ssl=_trusting())
            self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self._session


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if more := os.environ.get("NODE_EXTRA_CA_CERTS"):
        context.load_verify_locations(more)
    return context

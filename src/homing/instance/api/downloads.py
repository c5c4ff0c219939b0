"""Files that messages came with, given out while WhatsApp gives them: of each only the piece that passes is held."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from homing.instance.api import answers
from homing.instance.api.answers import ApiAnswer
from homing.instance.engine import FileGone
from homing.instance.host import SessionHost

AT_ONCE = 32
"""So many files are given out at a time; whoever wants another one is asked to come again."""
WITHIN_S = 120.0
"""How long one of them may take."""
_TOO_MANY = ApiAnswer({"error": f"This instance gives {AT_ONCE} files out already"}, 503, {"Retry-After": "2"})
_TOO_SLOW = ApiAnswer({"error": f"WhatsApp did not give the file out within {WITHIN_S:.0f} s"}, 504)


class Downloads:
    """What this instance gives out at the moment."""

    def __init__(self, host: SessionHost) -> None:
        self._host = host
        self._under_way = 0

    async def give(self, request: web.Request) -> web.StreamResponse | ApiAnswer:
        """The file of the session that the path names, by its reference."""
        if self._under_way >= AT_ONCE:
            return _TOO_MANY
        pieces = self._host.download(request.match_info["id"], request.match_info["reference"])
        if not isinstance(pieces, AsyncIterator):
            return answers.sent(pieces, self._host.now())
        self._under_way += 1
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        try:
            async with asyncio.timeout(WITHIN_S):
                return await _given(request, response, pieces)
        except TimeoutError:
            return _broken_off(request, response) if response.prepared else _TOO_SLOW
        finally:
            self._under_way -= 1


async def _given(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> web.StreamResponse | ApiAnswer:
    try:
        first: Any = await anext(pieces, b"")
    except FileGone as problem:
        return ApiAnswer({"error": f"File not found: {problem}"}, 404)
    except ConnectionError:
        return answers.not_connected(None)
    await response.prepare(request)
    try:
        if first:
            await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except (FileGone, ConnectionError):
        return _broken_off(request, response)
    return response


def _broken_off(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The connection ends without the last piece, so that nobody takes a part for the whole."""
    if request.transport is not None:
        request.transport.abort()
    return response

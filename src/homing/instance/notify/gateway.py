"""The gateway as an instance sees it: two paths, the same that the Node service calls."""

from collections.abc import Mapping
from typing import Self

import aiohttp
import msgspec

from homing.instance.notify.retries import NotifyAnswer

WEBHOOK_PATH = "/api/whatsapp/webhooks/webjs"
ACTIVE_PATH = "/api/whatsapp/accounts/active"
ANSWER_MAX_BYTES = 16 * 1024 * 1024
KEPT_OPEN_S = 4.0
"""Less than servers commonly keep an idle connection."""


class _Placed(msgspec.Struct):
    session_id: str
    workspace_id: int | str | None = None


class _Active(msgspec.Struct):
    sessions: list[_Placed]


_active = msgspec.json.Decoder(_Active)


class GatewayLink:
    """Connections to the gateway at ``url``, made as they are needed. How long to wait is the caller's to say."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._http = http

    @classmethod
    async def open(cls, url: str, connections_max: int) -> Self:
        connector = aiohttp.TCPConnector(limit=connections_max, keepalive_timeout=KEPT_OPEN_S)
        no_limit, no_cookies = aiohttp.ClientTimeout(total=None), aiohttp.DummyCookieJar()
        return cls(url, aiohttp.ClientSession(connector=connector, timeout=no_limit, cookie_jar=no_cookies))

    async def notify(self, body: bytes, headers: Mapping[str, str]) -> NotifyAnswer:
        """Bring one notification. Raises ``OSError`` when nobody answers."""
        try:
            url = self._url + WEBHOOK_PATH
            async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as reply:
                await reply.content.read(1024)
                return NotifyAnswer(reply.status, reply.headers.get("Retry-After"), reply.headers.get("X-Timestamp"))
        except aiohttp.ClientError as problem:
            raise ConnectionError(_what(problem)) from problem

    async def placed_here(self, instance_url: str, api_key: str) -> dict[str, int | None]:
        """The sessions that the gateway has placed on this instance, with their workspaces. Raises ``OSError``."""
        headers = {"X-API-Key": api_key, "X-Instance-Url": instance_url}
        try:
            async with self._http.get(self._url + ACTIVE_PATH, headers=headers, allow_redirects=False) as reply:
                raw = await _body(reply)
        except aiohttp.ClientError as problem:
            raise ConnectionError(_what(problem)) from problem
        if reply.status != 200:
            raise ConnectionError(f"the gateway answered {reply.status}")
        try:
            sessions = _active.decode(raw).sessions
        except msgspec.MsgspecError as problem:
            raise ConnectionError(f"the gateway's answer cannot be read: {problem}") from problem
        return {placed.session_id: _number(placed.workspace_id) for placed in sessions}

    async def close(self) -> None:
        await self._http.close()


async def _body(reply: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in reply.content.iter_chunked(65_536):
        content += piece
        if len(content) > ANSWER_MAX_BYTES:
            raise ConnectionError(f"the gateway's answer is longer than {ANSWER_MAX_BYTES} bytes")
    return bytes(content)


def _number(given: int | str | None) -> int | None:
    if isinstance(given, str):
        return int(given) if given.isdecimal() else None
    return given


def _what(problem: aiohttp.ClientError) -> str:
    return str(problem) or type(problem).__name__

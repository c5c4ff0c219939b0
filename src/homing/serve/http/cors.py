"""What browsers may do with the API from pages of other origins: nothing, unless the settings name the origin.

Keys travel in a header that a page has to set itself; cookies and other credentials are never allowed across origins.
"""

from collections.abc import Collection
from typing import Any

from litestar.types import ASGIApp, Receive, Send

ANY = "*"
_READABLE = [(b"access-control-expose-headers", b"Location, Retry-After, WWW-Authenticate, X-Timestamp")]
Header = tuple[bytes, bytes]


class Cors:
    """Answers browsers' questions before a request, and marks the answers that a page may read."""

    def __init__(self, behind: ASGIApp, origins: Collection[str]) -> None:
        self._behind, self._origins = behind, frozenset(origins)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        headers = dict(scope["headers"])
        allowed = self._allowed(headers.get(b"origin"))
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _permit(send, [*self._varies, *allowed])
        else:
            await self._behind(
                scope, receive, _marked(send, [*self._varies, *allowed, *(_READABLE if allowed else [])])
            )

    def _allowed(self, origin: bytes | None) -> list[Header]:
        """What lets a page of this origin read the answer; nothing for a page of another one, and for no page."""
        if origin is None:
            return []
        if ANY in self._origins:
            return [(b"access-control-allow-origin", b"*")]
        known = origin.decode("latin-1").lower() in self._origins
        return [(b"access-control-allow-origin", origin)] if known else []

    @property
    def _varies(self) -> list[Header]:
        """Which answer this is depends on who asks, even where nobody asked from a page: caches have to know."""
        return [] if ANY in self._origins else [(b"vary", b"Origin")]


async def _permit(send: Send, marks: list[Header]) -> None:
    headers: Any = [
        *marks,
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID"),
        (b"access-control-max-age", b"600"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _marked(send: Send, marks: list[Header]) -> Send:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *marks]}
        await send(message)

    return sent if marks else send

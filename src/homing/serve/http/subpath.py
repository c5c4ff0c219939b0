"""Being served below a path of somebody else's site: `https://example.org/homing/…`.

A proxy may take its prefix away before it hands a request on, or leave it. What is behind here never sees it; whoever
makes a link asks `prefix_of`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from homing.model.urls import is_plain_path
from homing.serve.http.proxies import Network, speaks_for_others

_TOLD_BY = b"x-forwarded-prefix"
_KEPT_AS = "homing.prefix"


def prefix_of(scope: Mapping[str, Any]) -> str:
    """What stands before each path of ours, as the client sees it; empty at the root."""
    return str(scope.get(_KEPT_AS, ""))


class SubPath:
    """Takes the prefix off each path. A trusted proxy may name one in `X-Forwarded-Prefix`; else it is `root_path`."""

    def __init__(self, behind: ASGIApp, *, root_path: str, trusted: Iterable[Network]) -> None:
        self._behind, self._root_path, self._trusted = behind, root_path, tuple(trusted)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (prefix := self._told(scope) or self._root_path):
            scope = {**scope, _KEPT_AS: prefix} | _without(prefix, scope)
        await self._behind(scope, receive, send)

    def _told(self, scope: Any) -> str:
        """What the proxy says, if it may say so and says it in one way; several in a row write one behind the other."""
        told = [value for name, value in scope["headers"] if name == _TOLD_BY]
        client = scope.get("client")
        if len(told) != 1 or (client is not None and not speaks_for_others(client[0], self._trusted)):
            return ""
        prefix = "".join(each.strip().rstrip("/") for each in told[0].decode("latin-1").split(","))
        return prefix if is_plain_path(prefix) else ""


def _without(prefix: str, scope: Any) -> dict[str, Any]:
    """The paths of a request whose proxy left the prefix in place; of another nothing has to be changed."""
    path = scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        return {}
    raw = scope.get("raw_path") or path.encode()
    return {"path": path[len(prefix) :] or "/", "raw_path": raw[len(prefix) :] or b"/"}

"""Files, encrypted by who sends them: taken under a hash, given to whoever knows it (as Baileys 7.0.0-rc14 asks)."""

import hashlib
import json

from aiohttp import web

MAX_KEPT_BYTES = 512 * 1024 * 1024
_AT = "/v/"


class MediaStore:
    """Files by their path. When too much is kept, the oldest go."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def keep(self, data: bytes) -> str:
        """The path of these bytes from now on."""
        name = hashlib.sha256(data).hexdigest()
        self._files[name] = data
        while sum(map(len, self._files.values())) > MAX_KEPT_BYTES:
            del self._files[next(iter(self._files))]
        return f"{_AT}{name}"

    def kept(self, path: str) -> bytes | None:
        return self._files.get(path.removeprefix(_AT))

    def forget(self) -> None:
        """As after the weeks for which WhatsApp keeps what was sent."""
        self._files.clear()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{path:.+}", self._taken), web.get("/v/{hash}", self._given)]

    async def _taken(self, request: web.Request) -> web.Response:
        path = self.keep(await request.read())
        answer = {"url": f"https://{request.host}{path}", "direct_path": path, "handle": path.removeprefix(_AT)}
        return web.Response(text=json.dumps(answer), content_type="application/json")

    async def _given(self, request: web.Request) -> web.StreamResponse:
        data = self.kept(request.match_info["hash"])
        if data is None:
            raise web.HTTPNotFound
        return web.Response(body=data, content_type="application/octet-stream")

"""Files, encrypted by who sends them: taken under a hash, given to whoever knows it (as Baileys 7.0.0-rc14 asks)."""

import hashlib
import json

from aiohttp import web

MAX_KEPT_BYTES = 512 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


class MediaStore:
    """Files by their path. When too much is kept, the oldest go."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{path:.+}", self._taken), web.get("/v/{hash}", self._given)]

    async def _taken(self, request: web.Request) -> web.Response:
        data = await request.read()
        name = hashlib.sha256(data).hexdigest()
        self._files[name] = data
        while sum(map(len, self._files.values())) > MAX_KEPT_BYTES:
            del self._files[next(iter(self._files))]
        path = f"/v/{name}"
        answer = {"url": f"https://{request.host}{path}", "direct_path": path, "handle": name}
        return web.Response(text=json.dumps(answer), content_type="application/json")

    async def _given(self, request: web.Request) -> web.StreamResponse:
        data = self._files.get(request.match_info["hash"])
        if data is None:
            raise web.HTTPNotFound
        return web.Response(body=data, content_type="application/octet-stream")

"""`python -m bench.peers.aiohttp_relay PORT UPSTREAM_PORT`: the least that an aiohttp program can do to relay."""

import json
import sys

import aiohttp
from aiohttp import web


def main() -> None:
    port, upstream = int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}"
    app = web.Application()

    async def relayed(request: web.Request) -> web.Response:
        body = await request.read()
        async with app[client].post(upstream + request.path, data=body, headers=_JSON) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def opened(_: web.Application) -> None:
        app[client] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        print(json.dumps({"pid": 0}), flush=True)

    client = web.AppKey("client", aiohttp.ClientSession)
    app.on_startup.append(opened)
    app.router.add_post("/{path:.*}", relayed)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


_JSON = {"Content-Type": "application/json"}

if __name__ == "__main__":
    main()

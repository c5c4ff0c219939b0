"""`python -m bench.peers.laravel_way PORT UPSTREAM_PORT DATABASE_URL`: what the Laravel application does for a message.

It reads the account from the database and opens a connection to the instance, anew for each: a PHP process keeps
neither. Here in Python, which starts nothing for a message; PHP's own start comes on top of it.
"""

import json
import sqlite3
import sys
from contextlib import closing

import aiohttp
import asyncpg
from aiohttp import web

_READ = "SELECT s.instance_url FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE a.uuid = "


async def _instance_of(database: str, uuid: str) -> str | None:
    if database.startswith("sqlite:///"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as file:
            row = file.execute(_READ + "?", (uuid,)).fetchone()
            return row and str(row[0])
    connection = await asyncpg.connect(database)
    try:
        found = await connection.fetchval(_READ + "$1", uuid)
        return None if found is None else str(found)
    finally:
        await connection.close()


def main() -> None:
    port, upstream, database = int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}", sys.argv[3]
    app = web.Application()

    async def relayed(request: web.Request) -> web.Response:
        body = await request.read()
        if await _instance_of(database, json.loads(body)["account_uuid"]) is None:
            raise web.HTTPNotFound
        async with aiohttp.ClientSession() as client, client.post(upstream + request.path, data=body) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def opened(_: web.Application) -> None:
        print(json.dumps({"pid": 0}), flush=True)

    app.on_startup.append(opened)
    app.router.add_post("/{path:.*}", relayed)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()

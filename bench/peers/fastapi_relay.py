"""`python -m bench.peers.fastapi_relay PORT UPSTREAM_PORT`: what most people would write first, with FastAPI and httpx.

Neither is a dependency of Homing: where they are not installed, this peer is reported as missing.
"""

import sys
from typing import Any

import fastapi  # type: ignore[import-not-found,unused-ignore]
import httpx  # type: ignore[import-not-found,unused-ignore]
import uvicorn


def main() -> None:
    port, upstream = int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}"
    app = fastapi.FastAPI()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))

    @app.post("/{path:path}")  # type: ignore[untyped-decorator,unused-ignore]
    async def relayed(path: str, body: dict[str, Any]) -> Any:
        answer = await client.post(f"{upstream}/{path}", json=body)
        return fastapi.responses.JSONResponse(answer.json(), status_code=answer.status_code)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main()

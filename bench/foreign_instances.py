"""One model gateway of each family, and one of the webjs Node service, in a process of their own.

`python -m bench.foreign_instances PORT SESSIONS` prints `{"pid", …}` once all listen; each has the sessions `shop-0…`.
Their engines take every message at once: what is measured is the way there.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass

from aiohttp import web

from simulated_gateways import MODELS
from simulated_gateways.base import Model, Session, body_of, said

KEY = "bench-key"


@dataclass
class NodeService(Model):
    """What the webjs Node service answers to what a gateway asks it while nothing is wrong."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/api/sessions", self._list),
            web.get("/api/sessions/{s}/status", self._one),
            web.post("/api/messages/send", self._send),
        ]

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        return None

    def _row(self, session: Session) -> dict[str, object]:
        return {"session_id": session.name, "status": "connected", "phone_number": session.phone, "workspace_id": 1}

    async def _health(self, request: web.Request) -> web.Response:
        return said(200, {"status": "healthy", "uptime": self.uptime_s, "sessions": {"total": len(self.sessions)}})

    async def _list(self, request: web.Request) -> web.Response:
        rows = [self._row(each) for each in self.sessions.values()]
        return said(200, {"success": True, "sessions": rows, "total": len(rows)})

    async def _one(self, request: web.Request) -> web.Response:
        return said(200, self._row(self.sessions[request.match_info["s"]]))

    async def _send(self, request: web.Request) -> web.Response:
        told = await body_of(request)
        message_id = await self.engine(self.sessions[told["session_id"]], told["recipient_phone"], told["message"])
        return said(200, {"success": True, "message_id": message_id, "timestamp": 1796000184})


FAMILIES: dict[str, type[Model]] = {"webjs": NodeService, **MODELS}


def session_name(family: str, number: int) -> str:
    """baileys-api's are phones."""
    return f"+62812{number:08}" if family == "baileys-api" else f"shop-{number}"


async def _serve(first_port: int, sessions: int) -> None:
    for place, (family, model_of) in enumerate(FAMILIES.items()):
        model = model_of()
        model.key = KEY
        for number in range(sessions):
            model.add(session_name(family, number), paired=True, phone=f"62812{number:08}")
        await model.start(first_port + place)
    print(json.dumps({"pid": os.getpid()}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))

"""A gateway of each family in one process, all as cheap as each other: what they answer to a send is written down.

`python -m bench.canned_peers PORT SESSIONS` prints `{"pid", …}` once all listen, in the order of FAMILIES. A send is
answered with the bytes of `canned_answers.json` as soon as it is read, so that what differs between two families is
what Homing does for them. Every other request (a look, a token, a probe) goes to the family's model, which has the
sessions.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from simulated_gateways import MODELS
from simulated_gateways.base import Model, Session, Told, said

KEY = "bench-key"
ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "canned_answers.json").read_text())
_LENGTH = b"content-length:"


@dataclass
class NodeService(Model):
    """What the webjs Node service answers to whoever looks, while nothing is wrong."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/api/sessions", self._list),
            web.get("/api/sessions/{s}/status", self._one),
        ]

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        return None

    def body_of(self, session: Session, told: Told) -> dict[str, object] | None:
        return None  # it tells nothing by itself

    def _row(self, session: Session) -> dict[str, object]:
        return {"session_id": session.name, "status": "connected", "phone_number": session.phone, "workspace_id": 1}

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return said(200, {"status": "healthy", "uptime": self.uptime_s, "sessions": {"total": len(self.sessions)}})

    async def _list(self, request: web.Request) -> web.Response:
        rows = [self._row(each) for each in self.sessions.values()]
        return said(200, {"success": True, "sessions": rows, "total": len(rows)})

    async def _one(self, request: web.Request) -> web.Response:
        return said(200, self._row(self.sessions[request.match_info["s"]]))


FAMILIES: dict[str, type[Model]] = {"webjs": NodeService, **MODELS}
PLACES = {family: place for place, family in enumerate(FAMILIES)}


def session_name(family: str, number: int) -> str:
    """baileys-api's are phones."""
    return f"+{phone_of(PLACES[family], number)}" if family == "baileys-api" else f"shop-{number}"


def phone_of(place: int, number: int) -> str:
    """No two sessions have one."""
    return f"62{place + 811}{number:08}"


@dataclass(frozen=True, slots=True)
class Canned:
    """The answer of one family to a send, as it goes over the wire, and where its model listens."""

    sends: bytes
    answer: bytes
    model_port: int

    @classmethod
    def of(cls, family: str, model_port: int) -> "Canned":
        told = ANSWERS[family]
        body = json.dumps(told["body"], ensure_ascii=False, separators=(",", ":")).encode()
        head = f"HTTP/1.1 {told['status']}\r\nContent-Type: application/json; charset=utf-8\r\n"
        return cls(told["sends"].encode(), f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, model_port)

    def is_send(self, line: bytes) -> bool:
        return line.startswith(b"POST ") and self.sends in line


class Peer(asyncio.Protocol):
    """One connection; its requests are answered one after the other."""

    def __init__(self, canned: Canned) -> None:
        self._canned, self._read = canned, b""
        self._relayed: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (size := _size_of(self._read)) is not None:
            request, self._read = self._read[:size], self._read[size:]
            if self._canned.is_send(request[: request.index(b"\r\n")]):
                self._transport.write(self._canned.answer)
            else:
                self._relayed = asyncio.create_task(self._relay(request))

    async def _relay(self, request: bytes) -> None:
        """The model's own answer, on a connection for this one request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._canned.model_port)
        line, _, rest = request.partition(b"\r\n")
        writer.write(line + b"\r\nConnection: close\r\n" + rest)
        self._transport.write(await reader.read(-1))
        self._transport.close()
        writer.close()


def _size_of(read: bytes) -> int | None:
    """The bytes of the first request, once all of it has come."""
    end = read.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = read[:end].lower()
    at = head.find(_LENGTH)
    body = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return end + 4 + body if len(read) >= end + 4 + body else None


async def _serve(first_port: int, sessions: int) -> None:
    loop = asyncio.get_running_loop()
    for place, (family, model_of) in enumerate(FAMILIES.items()):
        model = model_of()
        model.key = KEY
        for number in range(sessions):
            model.add(session_name(family, number), paired=True, phone=phone_of(place, number))
        await model.start()
        canned = Canned.of(family, int(model.url.rpartition(":")[2]))
        await loop.create_server(lambda canned=canned: Peer(canned), "127.0.0.1", first_port + place, backlog=256)  # type: ignore[misc]
    print(json.dumps({"pid": os.getpid()}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))

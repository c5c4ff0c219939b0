"""Very many gateways in one process, which only say what sessions they have, in the words of the Node service.

`python -m bench.model_instances PORT INSTANCES SESSIONS WRONG_PER_MILLE` prints `{"pid", …}` once all listen.
"""

import asyncio
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the directory has each session, and where it is; both follow from its number."""

    first_port: int
    instances: int
    sessions: int
    wrong_per_mille: int
    workspaces: int = 1

    @property
    def urls(self) -> list[str]:
        return [f"http://localhost:{self.first_port + number}" for number in range(self.instances)]

    @property
    def wrong(self) -> int:
        return sum(map(self.is_wrong, range(self.sessions)))

    def is_wrong(self, number: int) -> bool:
        return number * 7919 % 1000 < self.wrong_per_mille

    def workspace(self, number: int) -> int:
        return 1 + number % self.workspaces

    def recorded(self, number: int) -> int:
        return number % self.instances

    def holder(self, number: int) -> int:
        """The next instance but a few, where the record is wrong."""
        if not self.is_wrong(number):
            return self.recorded(number)
        return (number + 1 + number // self.instances % (self.instances - 1)) % self.instances

    def held_by(self) -> Iterator[list[int]]:
        """The sessions on each instance."""
        held: list[list[int]] = [[] for _ in range(self.instances)]
        for number in range(self.sessions):
            held[self.holder(number)].append(number)
        yield from held


def session_id(number: int) -> str:
    return f"webjs_1_{number:032x}"


def number_of(session: str) -> int:
    return int(session.rpartition("_")[2], 16)


def row(layout: Layout, number: int, status: str = "connected") -> dict[str, object]:
    """A session as its instance lists it."""
    return {
        "session_id": session_id(number),
        "workspace_id": layout.workspace(number),
        "status": status,
        "phone_number": f"62812{number:08}",
        "connected_at": "2026-01-31T09:30:00.250Z",
    }


def answer(status: str, said: object) -> bytes:
    """An HTTP answer with this JSON."""
    body = json.dumps(said, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_NOT_FOUND = answer("404 Not Found", {"error": "Session not found"})
_HEALTHY = answer("200 OK", {"status": "healthy"})


@dataclass(frozen=True, slots=True)
class Model:
    """One instance: its list as it goes over the wire."""

    layout: Layout
    number: int
    listed: bytes
    calls: "Counter[str]"

    def answer(self, path: str) -> bytes:
        match path.split("/"):
            case ["", "api", "sessions"]:
                self.calls["list"] += 1
                return self.listed
            case ["", "api", "sessions", session, "status"]:
                self.calls["status"] += 1
                number = number_of(session)
                is_here = self.layout.holder(number) == self.number
                return answer("200 OK", row(self.layout, number)) if is_here else _NOT_FOUND
            case ["", "calls"]:
                return answer("200 OK", self.calls)
            case _:
                return _HEALTHY


class Speaking(asyncio.Protocol):
    """One connection. Requests have no body."""

    def __init__(self, model: Model) -> None:
        self._model, self._asked = model, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._asked = (self._asked + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].decode().partition("?")[0]
            self._transport.write(self._model.answer(path))


async def _serve(layout: Layout) -> None:
    loop, calls = asyncio.get_running_loop(), Counter[str]()
    for number, held in enumerate(layout.held_by()):
        rows = [row(layout, each) for each in held]
        listed = answer("200 OK", {"success": True, "sessions": rows, "total": len(rows)})
        model = Model(layout, number, listed, calls)
        port = layout.first_port + number
        await loop.create_server(lambda model=model: Speaking(model), "127.0.0.1", port, backlog=256)  # type: ignore[misc]
    print(json.dumps({"pid": os.getpid(), "instances": layout.instances}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve(Layout(*map(int, sys.argv[1:5]))))


if __name__ == "__main__":
    main()

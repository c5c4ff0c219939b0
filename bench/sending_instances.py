"""Gateways in one process that send messages, each so many a second, in the words of the seed's Node service.

`python -m bench.sending_instances PORT INSTANCES SESSIONS WORKSPACES SENDS_PER_S` prints `{"pid", …}` once all listen.
At the port behind the last instance's, `POST /ail {"hanging": [numbers], "starting": [numbers]}` says of which sessions
no send is answered, and which are not up, until it is said anew.
"""

import asyncio
import json
import os
import sys
from typing import cast

from bench.model_instances import Layout, answer, number_of, row

_SESSION = b'"session_id":"'
_NO_SUCH_CALL = answer("404 Not Found", {"error": "Endpoint not found"})
_NOT_CONNECTED = answer("400 Bad Request", {"error": "Session not connected. Please check session status."})


class Ailing:
    """The sessions that something is wrong with."""

    def __init__(self) -> None:
        self.starting: set[int] = set()
        self._hanging: set[int] = set()
        self._changed = asyncio.Event()

    def name(self, told: dict[str, list[int]]) -> None:
        self._hanging, self.starting = set(told.get("hanging", ())), set(told.get("starting", ()))
        self._changed.set()
        self._changed = asyncio.Event()

    def status(self, session: int) -> str:
        return "initializing" if session in self.starting else "connected"

    async def pass_by(self, session: int) -> None:
        while session in self._hanging:
            await self._changed.wait()


class Instance:
    """One gateway: it sends one message after the other, and the others wait inside it."""

    def __init__(self, layout: Layout, held: list[int], per_s: float, ailing: Ailing) -> None:
        self._layout, self._held, self.ailing = layout, held, ailing
        self._loop, self._each_s, self._free_at, self._sent = asyncio.get_running_loop(), 1 / per_s, 0.0, 0

    def told(self, path: str) -> bytes:
        """The answer to a GET."""
        match path.split("/"):
            case ["", "api", "sessions"]:
                rows = [self._row(each) for each in self._held]
                return answer("200 OK", {"success": True, "sessions": rows, "total": len(rows)})
            case ["", "api", "sessions", session, "status"]:
                return answer("200 OK", self._row(number_of(session)))
            case _:
                return answer("200 OK", {"status": "healthy"})

    async def send(self, session: int) -> bytes:
        await self.ailing.pass_by(session)
        if session in self.ailing.starting:
            return _NOT_CONNECTED
        self._free_at = max(self._free_at, self._loop.time()) + self._each_s
        await asyncio.sleep(self._free_at - self._loop.time())
        self._sent += 1
        told = {"success": True, "message_id": f"3EB0{self._sent:018}", "timestamp": 1_795_000_000}
        return answer("200 OK", told)

    def _row(self, number: int) -> dict[str, object]:
        return row(self._layout, number, self.ailing.status(number))


class Speaking(asyncio.Protocol):
    """One connection."""

    def __init__(self, instance: Instance) -> None:
        self._instance, self._asked = instance, b""
        self._sending: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        for task in self._sending:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._asked += data
        while (head_end := self._asked.find(b"\r\n\r\n")) >= 0:
            head = self._asked[:head_end]
            body_end = head_end + 4 + _content_length(head)
            if len(self._asked) < body_end:
                return
            body, self._asked = self._asked[head_end + 4 : body_end], self._asked[body_end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        path = target.decode().partition("?")[0]
        if method == b"GET":
            self._transport.write(self._instance.told(path))
        elif path.endswith("/messages/send"):
            task = asyncio.get_running_loop().create_task(self._send(body))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        elif path == "/ail":
            self._instance.ailing.name(json.loads(body))
            self._transport.write(answer("200 OK", {}))
        else:
            self._transport.write(_NO_SUCH_CALL)

    async def _send(self, body: bytes) -> None:
        session = body.partition(_SESSION)[2].partition(b'"')[0].decode()
        self._transport.write(await self._instance.send(number_of(session)))


def _content_length(head: bytes) -> int:
    _, found, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0]) if found else 0


async def _serve(layout: Layout, per_s: float) -> None:
    loop, ailing = asyncio.get_running_loop(), Ailing()
    instances = [Instance(layout, held, per_s, ailing) for held in layout.held_by()]
    for at, instance in enumerate([*instances, instances[0]]):
        port = layout.first_port + at
        await loop.create_server(lambda each=instance: Speaking(each), "127.0.0.1", port, backlog=1024)  # type: ignore[misc]
    print(json.dumps({"pid": os.getpid(), "instances": layout.instances}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    import uvloop

    port, instances, sessions, workspaces, per_s = map(int, sys.argv[1:6])
    uvloop.run(_serve(Layout(port, instances, sessions, 0, workspaces), per_s))


if __name__ == "__main__":
    main()

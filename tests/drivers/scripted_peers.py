"""Peers that follow a script: servers that do exactly what a test wants done to a call."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """One request as a peer read it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Talk = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """A server that does what its script says on each connection, and remembers what it was asked."""

    talk: Talk
    connections: int = 0
    open: int = 0
    asked: list[Asked] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> "Peer":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**22, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def read(self, reader: asyncio.StreamReader) -> Asked | None:
        """The next request, whole; None at the end of the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(method, target, headers, body))
        self.heard.set()
        return self.asked[-1]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            await self.talk(self, reader, writer)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)


def answer(body: bytes = b'{"ok":true}', *, status: str = "200 OK", headers: str = "") -> bytes:
    """An answer as Express gives it."""
    return (
        f"HTTP/1.1 {status}\r\nX-Powered-By: Express\r\nContent-Type: application/json; charset=utf-8\r\n"
        f'Content-Length: {len(body)}\r\nETag: W/"1-x"\r\nDate: Tue, 24 Nov 2026 07:00:00 GMT\r\n'
        f"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n{headers}\r\n"
    ).encode() + body


def saying(data: bytes, *, then_close: bool = False) -> Talk:
    """A script: read each request whole, answer it with these bytes."""

    async def talk(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await peer.read(reader) is not None:
            writer.write(data)
            await writer.drain()
            if then_close:
                return

    return talk


async def silence(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A script: read requests, answer none."""
    while await peer.read(reader) is not None:
        pass


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a reset."""
    linger_not = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += str(entry.readlink()).startswith("socket:")
    return count


Serve = Callable[[Talk], Awaitable[Peer]]

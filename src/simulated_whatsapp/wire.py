"""Ways to reach an exchange: over TCP, straight or by a proxy, and in memory for tests and virtual time."""

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from simulated_whatsapp.exchange import Exchange, Frame

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 8_192


class Wire(Protocol):
    """One open connection, seen from the asking side."""

    def send(self, frame: Frame) -> None:
        """Hand a frame over; on a wire that is gone this does nothing, ``closed`` has said so."""

    def close(self) -> None: ...


OnFrame = Callable[[Frame], None]
OnClosed = Callable[[], None]
Dial = Callable[[OnFrame, OnClosed], Awaitable[Wire]]
"""Opens a connection, or raises ``OSError``. ``OnClosed`` is called once, whoever closed it."""


def tcp(address: str) -> Dial:
    """Connections to a server at ``host:port``."""
    host, _, port = address.rpartition(":")

    async def dial(on_frame: OnFrame, on_closed: OnClosed) -> Wire:
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: _TcpWire(on_frame, on_closed), host, int(port))
        return wire

    return dial


def tcp_through(proxy: tuple[str, int], login: tuple[str, str] | None, address: str) -> Dial:
    """The same by an HTTP proxy at this host and port, as CONNECT asks for it; `login` is a user and a password."""
    who = "" if login is None else f"Proxy-Authorization: Basic {b64encode(':'.join(login).encode()).decode()}\r\n"
    asked = f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{who}\r\n".encode()

    async def dial(on_frame: OnFrame, on_closed: OnClosed) -> Wire:
        loop = asyncio.get_running_loop()
        sock = await _connected(proxy)
        try:
            await loop.sock_sendall(sock, asked)
            await _let_through(sock)
            _, wire = await loop.create_connection(lambda: _TcpWire(on_frame, on_closed), sock=sock)
        except BaseException:
            sock.close()
            raise
        return wire

    return dial


async def _let_through(sock: socket.socket) -> None:
    """Read the answer to a CONNECT. Raises `OSError` unless the way is open."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        # Byte by byte: what comes after the answer is WhatsApp's, and is not read here.
        part = await asyncio.get_running_loop().sock_recv(sock, 1)
        answer += part
        if not part or len(answer) > MAX_ANSWER_BYTES:
            raise ConnectionError("the proxy did not answer a CONNECT")
    if answer.split(b" ", 2)[1:2] != [b"200"]:
        raise ConnectionRefusedError("the proxy refused a CONNECT")


async def _connected(place: tuple[str, int]) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*place, type=socket.SOCK_STREAM)
    family, kind, protocol, _, at = found[0]
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, at)
    except BaseException:
        sock.close()
        raise
    return sock


def in_memory(exchange: Exchange) -> Dial:
    """Connections to an exchange in this process. Frames arrive in a later turn of the loop, in order."""

    async def dial(on_frame: OnFrame, on_closed: OnClosed) -> Wire:
        await asyncio.sleep(0)
        return MemoryWire(exchange, on_frame, on_closed)

    return dial


class MemoryWire:
    """A wire without a socket; ``cut`` is what a broken network does to it."""

    def __init__(self, exchange: Exchange, on_frame: OnFrame, on_closed: OnClosed) -> None:
        self._loop = asyncio.get_running_loop()
        self._exchange = exchange
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._open = True
        self._name = exchange.opened(self._arrive)

    def send(self, frame: Frame) -> None:
        # Both directions go through JSON, so that nothing passes here that could not pass over TCP.
        self._loop.call_soon(self._ask, json.loads(json.dumps(frame)))

    def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        if self._open:
            self._open = False
            self._loop.call_soon(self._exchange.closed, self._name)
            self._loop.call_soon(self._on_closed)

    def _ask(self, frame: Frame) -> None:
        if self._open:
            self._exchange.frame(self._name, frame)

    def _arrive(self, frame: Frame) -> None:
        self._loop.call_soon(self._tell, json.loads(json.dumps(frame)))

    def _tell(self, frame: Frame) -> None:
        if self._open:
            self._on_frame(frame)


class _TcpWire(asyncio.Protocol):
    def __init__(self, on_frame: OnFrame, on_closed: OnClosed) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not descend from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, frame: Frame) -> None:
        if not self._transport.is_closing():
            self._transport.write(json.dumps(frame, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self._transport.abort()
            return
        for line in lines:
            frame: Any = json.loads(line)
            self._on_frame(frame)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._on_closed()

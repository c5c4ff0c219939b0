"""Requests by way of the port's own protocol, without a socket: what a client says and what it is told are bytes."""

import asyncio
from typing import Any

import httptools
import httpx
import uvicorn
from litestar.types import ASGIApp
from uvicorn.server import ServerState

from homing.compose.process import direct_sends, door
from homing.config import Settings
from homing.serve.app import Application
from homing.serve.front import Front
from homing.serve.http.http_limits import HttpLimits
from homing.serve.http.send_protocol import answering


class Line(asyncio.Transport):
    """A connection that keeps what was written to it."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 1234), "sockname": ("127.0.0.1", 8000)})
        self.written: list[bytes] = []
        self.said = asyncio.Event()
        self._closing = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        self.said.set()

    def close(self) -> None:
        self._closing = True
        self.said.set()

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...


class Answered:
    """What the parser finds in what was written."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


class PortTransport(httpx.AsyncBaseTransport):
    """Each request on a connection of its own, to a gateway's port with these settings."""

    def __init__(self, settings: Settings, application: Application, peer: str = "127.0.0.1") -> None:
        self.app, self.front, self._peer = application, Front(), peer
        self.front.opened(application, direct_sends(settings, application))  # type: ignore[arg-type]
        self.open_to(door(settings, self.front))

    def open_to(self, app: ASGIApp) -> None:
        protocol: Any = answering(HttpLimits(), self.front)
        self._config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
        self._config.load()
        self.state = ServerState()

    def connected(self) -> tuple[Any, Line]:
        """A protocol with a connection, as the server would make them."""
        made: Any = self._config.http
        protocol = made(config=self._config, server_state=self.state, app_state={})
        line = Line(self._peer)
        protocol.connection_made(line)
        return protocol, line

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        protocol, line = self.connected()
        try:
            await self._say(protocol, request)
            return await self._heard(line, request)
        finally:
            protocol.connection_lost(None)

    @staticmethod
    async def _say(protocol: Any, request: httpx.Request) -> None:
        lines = [f"{request.method} ".encode() + request.url.raw_path + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in request.headers.raw]
        if request.url.scheme == "https":  # as whoever ends TLS in front of it says
            lines.append(b"x-forwarded-proto: https")
        protocol.data_received(b"\r\n".join(lines) + b"\r\n\r\n")
        chunked = b"chunked" in dict(request.headers.raw).get(b"transfer-encoding", b"")
        async for piece in request.stream:  # type: ignore[union-attr]
            if piece and not line_over(protocol):
                protocol.data_received(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await asyncio.sleep(0)
        if chunked and not line_over(protocol):
            protocol.data_received(b"0\r\n\r\n")

    @staticmethod
    async def _heard(line: Line, request: httpx.Request) -> httpx.Response:
        found = Answered()
        parser = httptools.HttpResponseParser(found)
        while not found.whole:
            await line.said.wait()
            line.said.clear()
            written, line.written = b"".join(line.written), []
            try:
                parser.feed_data(written)
            except httptools.HttpParserUpgrade:
                break
            if request.method == "HEAD" and written:
                break
            if line.is_closing() and not found.whole:
                break
        return httpx.Response(parser.get_status_code(), headers=found.headers, content=found.body, request=request)


def line_over(protocol: Any) -> bool:
    return bool(protocol.transport.is_closing())

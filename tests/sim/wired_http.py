"""A small HTTP/1.1 server for a network in memory: whole requests in, JSON out, connections kept alive."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import httptools
from wired_network import Network


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One whole request. Header names are in lower case; `path` is unquoted and without its query."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; an empty one if it is none."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered, as JSON."""

    status: int
    said: Any
    headers: dict[str, str] = field(default_factory=dict)

    def written(self) -> bytes:
        body = json.dumps(self.said).encode()
        lines = [f"HTTP/1.1 {self.status} {_words(self.status)}", "Content-Type: application/json; charset=utf-8"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(body)}", "Connection: keep-alive", "Keep-Alive: timeout=5"]
        return "\r\n".join([*lines, "", ""]).encode() + body


Answer = Callable[[HttpRequest], Awaitable[Response]]


class HttpServer:
    """Answers the requests that come to one place, each connection's in order.

    A request that began to be answered is answered to its end, even if its asker has gone: so do the gateways.
    """

    def __init__(self, network: Network, host: str, port: int, answer: Answer) -> None:
        self._network, self._host, self._port = network, host, port
        self._answer = answer
        self._answering: dict[asyncio.Task[None], None] = {}

    def open(self) -> None:
        self._network.listen(self._host, self._port, lambda: _HttpExchange(self._begin))

    def close(self) -> None:
        """Die: nothing is listened to, connections are reset, and what was being answered is not."""
        self._network.unlisten(self._host, self._port)
        self._network.reset(self._host, self._port)
        for task in list(self._answering):
            task.cancel()

    def _begin(self, request: HttpRequest, exchange: "_HttpExchange") -> None:
        task = asyncio.get_running_loop().create_task(self._serve(request, exchange))
        self._answering[task] = None
        task.add_done_callback(self._answering.pop)

    async def _serve(self, request: HttpRequest, exchange: "_HttpExchange") -> None:
        exchange.answer((await self._answer(request)).written())


class _HttpExchange(asyncio.Protocol):
    """One connection: the next request is begun when the one before it was answered."""

    def __init__(self, begin: Callable[[HttpRequest, "_HttpExchange"], None]) -> None:
        self._begin = begin
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: list[HttpRequest] = []
        self._busy = False
        self._target, self._headers, self._body = b"", dict[str, str](), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def answer(self, data: bytes) -> None:
        self._busy = False
        if self._transport is not None:
            self._transport.write(data)
        self._begin_next()

    def _begin_next(self) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            self._begin(self._waiting.pop(0), self)

    # --- what the parser tells us ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        parts = urlsplit(self._target.decode("latin-1"))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        method = self._parser.get_method().decode("ascii")
        self._waiting.append(HttpRequest(method, unquote(parts.path), query, self._headers, self._body))
        self._begin_next()


def _words(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"

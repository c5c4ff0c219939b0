"""The HTTP wire to instances: HTTP/1.1, pooled, and exact about whether any byte of a request left.

A client of our own, because a send may be repeated only when it is known that nothing left, and the clients at
hand either do not tell or repeat by themselves. This one follows no redirect and repeats nothing, except that an
idle connection found closed before a byte was written to it is passed over for another.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, assert_never
from urllib.parse import quote, urlsplit

from homing.drivers.http.connection import Connection, Reply
from homing.drivers.http.lanes import Lane, current
from homing.drivers.http.pool import Opened, Pool, PoolLimits
from homing.drivers.http.resolving import Connect, Dialer, unreached
from homing.drivers.http.sinks import BodySink
from homing.drivers.http.streamed import StreamedBody
from homing.drivers.http.tls import TlsContexts, TlsFiles
from homing.model.instances.health import GATEWAY_AGENT
from homing.model.sends.faults import Fault, Phase
from homing.model.tracing import call_span, tracing

__all__ = ["MIB", "Calls", "FetchedReply", "Reply", "StreamedBody", "Wire", "WireLimits"]

MIB = 1024 * 1024
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_HEADS = 1_000
"""Heads kept for each instance."""
_PEERS = 4_000
"""Addresses kept in mind, one for each lane of an instance."""


class Calls(Protocol):
    """What drivers need of a wire."""

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | StreamedBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = MIB,
    ) -> Reply | Fault:
        """Make one call and answer within `timeout_s`."""
        ...


@dataclass(frozen=True, slots=True)
class WireLimits:
    """How much the wire takes upon itself, for each instance apart.

    `idle_s` is below the 5 s after which Node closes a kept connection; an instance that announces less with
    `Keep-Alive: timeout=` is believed. `connections` are those of the lane of sends, of which one session has
    `of_a_session` at most; no other lane has more. `connect_timeout_s` is how long one may take to come about, and how
    long a call waits for one that is free. `stall_s` is how long an instance may take no byte of a file.
    """

    connections: int = 256
    of_a_session: int = 64
    health: int = 4
    lists: int = 16
    sessions: int = 32
    waiting: int = 1_000
    connect_timeout_s: float = 2.0
    idle_s: float = 4.0
    stall_s: float = 20.0
    head_bytes: int = 64 * 1024

    def room(self, lane: Lane) -> PoolLimits:
        match lane:
            case Lane.SENDS:
                places = self.connections
            case Lane.HEALTH:
                places = self.health
            case Lane.LISTS:
                places = self.lists
            case Lane.SESSIONS:
                places = self.sessions
            case _:
                assert_never(lane)
        return PoolLimits(min(places, self.connections), self.of_a_session, self.waiting, self.connect_timeout_s)


@dataclass(frozen=True, slots=True)
class _Peer:
    """One instance's base URL, taken apart, and the connections of one lane to it."""

    host: str
    port: int
    is_tls: bool
    path_prefix: str
    head_start: str
    pool: Pool
    heads: dict[tuple[Any, ...], str]
    """Heads of requests as they were written before, up to the length of the body."""


@dataclass(frozen=True, slots=True)
class FetchedReply:
    """A good answer of which the head is here; its body comes as it is read."""

    headers: Mapping[str, str]
    body: BodySink


class Wire:
    """Calls instances over HTTP. Each answers a whole `Reply` or the `Fault` that says how far the call came."""

    def __init__(
        self,
        limits: WireLimits | None = None,
        *,
        connect: Connect | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        dialer: Dialer | None = None,
        agent: str = GATEWAY_AGENT,
    ) -> None:
        """`tls` gives the context of each connection to an `https` address; else the system's CAs are believed.

        `agent` is who calls. Whoever is no gateway says so: an instance takes gateways' calls for its being reached.
        """
        self._agent = agent
        self._limits = limits or WireLimits()
        self._dialer = dialer or Dialer()
        self._connect: Connect = connect or self._dialer
        self._tls = tls
        self._peers: dict[tuple[str, Lane], _Peer] = {}
        self._closed = False

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | StreamedBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = MIB,
        sink: BodySink | None = None,
    ) -> Reply | Fault:
        """Make one call and answer within `timeout_s`. `path` begins with a slash, is quoted, and may have a query.

        Raises ValueError for a method, path or header that could not be written as one well-formed request.
        """
        if self._closed:
            return Fault(Phase.NOT_ATTEMPTED, "the wire was closed")
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        lane, session = current()
        peer = self._peers.get((base_url, lane)) or self._meet(base_url, lane)
        if type(body) is bytes and method == "POST" and tracing.get() is None:
            message = _repeated(peer, path, headers, body)
        else:
            message = _request(method, peer, path, _traced(headers), body)
        rest = body if isinstance(body, StreamedBody) else None
        while True:
            connection = peer.pool.take_idle(session) or await self._take(peer.pool, until, session)
            if isinstance(connection, Fault):
                return connection
            answer = connection.ask(
                message,
                until=until,
                timeout_s=timeout_s,
                body_limit_bytes=body_limit_bytes,
                rest=rest,
                stall_s=self._limits.stall_s,
                sink=sink,
            )
            if answer is not None:
                break
            connection.leave()
            if connection.asked == 0:
                return Fault(Phase.CONNECT_BROKEN, "the peer closed or spoke before it was asked")
        try:
            return await answer
        except asyncio.CancelledError:
            connection.abandon(answer)
            raise

    @asynccontextmanager
    async def fetch(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int,
    ) -> AsyncIterator["FetchedReply | Reply | Fault"]:
        """The same call, whose good reply is given out while it comes; one that is not good comes whole.

        All of it has to come within `timeout_s`. Who leaves early has the connection closed.
        """
        sink = BodySink()
        made = self.call(
            method,
            base_url,
            path,
            body=body,
            headers=headers,
            timeout_s=timeout_s,
            body_limit_bytes=body_limit_bytes,
            sink=sink,
        )
        call = asyncio.create_task(made)
        begun = asyncio.create_task(sink.begun.wait())
        try:
            await asyncio.wait({call, begun}, return_when=asyncio.FIRST_COMPLETED)
            yield FetchedReply(sink.headers, sink) if sink.begun.is_set() else await call
        finally:
            for task in (begun, call):
                task.cancel()
            await asyncio.gather(begun, call, return_exceptions=True)

    async def close(self) -> None:
        """Close all connections. Calls under way end as interrupted, and none is made afterwards."""
        self._closed = True
        for peer in self._peers.values():
            await peer.pool.close()
        await self._dialer.close()

    async def _take(self, pool: Pool, until: float, session: str) -> Opened:
        loop = asyncio.get_running_loop()
        if loop.time() >= until:
            return Fault(Phase.NOT_ATTEMPTED, "no time was left to connect")
        return await pool.take(until, session)

    def _meet(self, base_url: str, lane: Lane) -> _Peer:
        if len(self._peers) >= _PEERS:
            self._peers = {at: peer for at, peer in self._peers.items() if not peer.pool.is_empty}
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is not a base URL")
        is_tls = parts.scheme == "https"
        host, port = parts.hostname, parts.port or (443 if is_tls else 80)
        authority = _in_ascii(parts.netloc.rpartition("@")[2])
        peer = self._peers[base_url, lane] = _Peer(
            host=host,
            port=port,
            is_tls=is_tls,
            path_prefix=quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"),
            head_start=f" HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {self._agent}\r\nAccept: application/json\r\n",
            heads={},
            pool=Pool(self._limits.room(lane), lambda pool, until: self._open(pool, host, port, is_tls, until)),
        )
        return peer

    async def _open(self, pool: Pool, host: str, port: int, is_tls: bool, until: float) -> Opened:
        def new_connection() -> Connection:
            return Connection(
                idle_s=self._limits.idle_s,
                head_limit_bytes=self._limits.head_bytes,
                on_free=pool.free,
                on_gone=pool.gone,
            )

        at_most = asyncio.get_running_loop().time() + self._limits.connect_timeout_s
        try:
            async with asyncio.timeout_at(min(until, at_most)):
                _, connection = await self._connect(host, port, self._context() if is_tls else None, new_connection)
        except TimeoutError:
            return Fault(Phase.CONNECT_TIMED_OUT, "no connection in time")
        except (OSError, UnicodeError) as error:
            return unreached(error)
        assert isinstance(connection, Connection)
        if self._connect is self._dialer:
            connection.lives_until = self._dialer.lives_until(host)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = TlsContexts(TlsFiles())
        return self._tls()


def _in_ascii(authority: str) -> str:
    try:
        return authority.encode("idna").decode()
    except UnicodeError:
        return quote(authority, safe=":[]")  # connecting to it will say that there is no such name


def _traced(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """With the trace of the request that this call is made for, if its caller named one."""
    trace = tracing.get()
    if trace is None:
        return headers
    return {**(headers or {}), "traceparent": trace.header(call_span.get() or secrets.token_hex(8))}


def _repeated(peer: _Peer, path: str, headers: Mapping[str, str] | None, body: bytes) -> bytes:
    """The request as `_request` writes it; its head is looked at once, whatever bodies it is written with."""
    key = (path, *headers.items()) if headers else (path,)
    head = peer.heads.get(key)
    if head is None:
        whole = _request("POST", peer, path, headers, b"").decode()
        if len(peer.heads) >= _HEADS:
            peer.heads.clear()
        head = peer.heads[key] = whole.removesuffix("0\r\n\r\n")
    return f"{head}{len(body)}\r\n\r\n".encode("ascii") + body


def _request(
    method: str, peer: _Peer, path: str, headers: Mapping[str, str] | None, body: bytes | StreamedBody | None
) -> bytes:
    """The request as it goes out, but for a body that is streamed. It is one request, whatever the path and the headers
    hold."""
    lines = 4
    head = f"{method} {peer.path_prefix}{path}{peer.head_start}"
    for name, value in (headers or {}).items():
        head += f"{name}: {value}\r\n"
        lines += 1
    if body is not None or method != "GET":
        head += f"Content-Length: {len(body or b'')}\r\n"
        lines += 1
    one_request = head.isascii() and head.count("\n") == head.count("\r") == head.count("\r\n") == lines
    if method not in _METHODS or not path.startswith("/") or " " in path or not one_request:
        raise ValueError(f"a {method} with this path or these headers cannot be written as one request")
    return f"{head}\r\n".encode("ascii") + (body if isinstance(body, bytes) else b"")

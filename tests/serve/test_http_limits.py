"""What a client may cost before its request is whole, as raw sockets see it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn

from homing.serve.http.answers import HttpAnswer
from homing.serve.http.http_limits import HttpLimits
from homing.serve.http.proxies import speaks_for_others
from homing.serve.http.send_protocol import DirectSends, answering

LIMITS = HttpLimits(header_bytes=4_096, header_fields=20, head_s=0.4, body_s=0.4, connections_per_address=2)
HEADS = {"framework": b"POST /x HTTP/1.1\r\nHost: h\r\n", "port": b"POST /api/v1/messages/send HTTP/1.1\r\nHost: h\r\n"}
HEAD = HEADS["framework"]


@pytest.fixture(params=HEADS)
def answered_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests of the test are what the framework answers, and what the port's protocol answers by itself."""
    monkeypatch.setitem(globals(), "HEAD", HEADS[request.param])


class Echo:
    """Answers with what it was told; `slowly` it waits before it reads, `early` it answers before the body came."""

    def __init__(self) -> None:
        self.seen: list[dict[bytes, bytes]] = []
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(dict(scope["headers"]))
        if scope["path"] == "/endless":
            await self._tell_without_end(receive, send)
            return
        if scope["path"] == "/trickle":
            await self._tell_without_end(receive, send, first=200_000, size=100, every_s=0.02)
            return
        if scope["path"] == "/slowly":
            await asyncio.sleep(0.8)
        body, more = b"", scope["path"] != "/early"
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body, more = body + event["body"], event["more_body"]
        told = json.dumps({"bytes": len(body)}).encode()
        headers = [(b"content-length", str(len(told)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})

    async def _tell_without_end(
        self, receive: Any, send: Any, *, first: int = 0, size: int = 65_536, every_s: float = 0.0
    ) -> None:
        """A stream: it goes on until whoever reads it is gone."""
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.body", "body": b"x" * first, "more_body": True})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
            await asyncio.sleep(every_s)
        self.left.set()


class AtThePort:
    """Answers sends at the protocol as `Echo` does all else: with how much it was told."""

    def __init__(self) -> None:
        self.direct: DirectSends | None = DirectSends(self, 1_000_000, lambda: HttpAnswer(500, b"{}", {}), self._noted)

    async def answer(self, raw: bytes, *_: object) -> HttpAnswer:
        return HttpAnswer(200, json.dumps({"bytes": len(raw)}).encode(), {})

    async def _noted(self, *_: object) -> None: ...


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *parts: bytes, every_s: float = 0.0) -> None:
        with suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
                await asyncio.sleep(every_s)

    async def answer(self) -> tuple[int, dict[str, Any]]:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if line)
            return int(head.split()[1]), json.loads(await self.reader.readexactly(int(lines["content-length"])))

    async def until_closed(self) -> bytes:
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                return await self.reader.read()
        return b""


class Served:
    def __init__(self, app: Echo, port: int) -> None:
        self.app, self.port = app, port

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(limits: HttpLimits = LIMITS) -> AsyncIterator[Served]:
    app = Echo()
    config = uvicorn.Config(
        app, port=0, http=answering(limits, AtThePort()), ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    async with asyncio.timeout(5):
        while not server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    try:
        yield Served(app, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task


@pytest.mark.usefixtures("answered_by")
async def test_requests_within_the_limits_are_answered_one_after_the_other() -> None:
    async with serving() as it, it.peer() as peer:
        for size in (0, 10, 100_000):
            await peer.say(HEAD + b"Content-Length: %d\r\n\r\n" % size, b"x" * size)
            assert await peer.answer() == (200, {"bytes": size})


@pytest.mark.usefixtures("answered_by")
async def test_requests_that_come_in_one_piece_are_each_answered() -> None:
    async with serving() as it, it.peer() as peer:
        await peer.say((HEAD + b"Content-Length: 2\r\n\r\nhi") * 3)
        assert [await peer.answer() for _ in range(3)] == [(200, {"bytes": 2})] * 3


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"x" * 5_000 + b"\r\n\r\n",
        b"X-Long: " + b"x" * 5_000,
        b"".join(b"X-%d: 1\r\n" % number for number in range(30)) + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (number, b"y" * 400) for number in range(15)),
    ],
    ids=["one field", "one field that never ends", "many fields", "altogether"],
)
@pytest.mark.usefixtures("answered_by")
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_head_beyond_the_limits_is_refused(head: bytes, at_once: bool) -> None:
    async with serving() as it, it.peer() as peer:
        whole = HEAD + head
        await peer.say(*([whole] if at_once else [whole[at : at + 500] for at in range(0, len(whole), 500)]))
        status, told = await peer.answer()
        assert (status, told["code"]) == (431, "headers_too_large")
        assert await peer.until_closed() == b""
        assert it.app.seen == []


async def test_a_long_address_counts_as_head() -> None:
    async with serving() as it, it.peer() as peer:
        await peer.say(b"GET /" + b"a" * 10_000)
        assert (await peer.answer())[0] == 431


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([HEAD], "head"),
        ([HEAD[:5]], "head"),
        ([HEAD, *[b"X-%d: 1\r\n" % number for number in range(12)]], "head"),
        ([HEAD + b"Content-Length: 100\r\n\r\nhalf"], "body"),
        ([HEADS["port"] + b"Content-Length: 100\r\n\r\nhalf"], "body"),
        ([HEADS["port"], *[b"X-%d: 1\r\n" % number for number in range(12)]], "head"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 12], "body"),
    ],
    ids=["half a head", "a word", "field by field", "half a body", "half a send", "a send by field", "chunk by chunk"],
)
async def test_a_request_that_dawdles_is_ended(parts: list[bytes], what: str) -> None:
    async with serving() as it, it.peer() as peer:
        saying = asyncio.create_task(peer.say(*parts, every_s=0.1))
        status, told = await peer.answer()
        assert (status, told["code"]) == (408, "request_timeout")
        assert what in told["detail"]
        await peer.until_closed()
        await saying


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with serving() as it, it.peer() as peer:
        assert await peer.until_closed() == b""


async def test_a_body_that_we_do_not_read_on_is_not_the_clients_fault() -> None:
    async with serving() as it, it.peer() as peer:
        size = 1_000_000
        await peer.say(b"POST /slowly HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size, b"x" * size)
        assert await peer.answer() == (200, {"bytes": size})


@pytest.mark.usefixtures("answered_by")
async def test_an_idle_connection_may_be_used_again_later() -> None:
    async with serving() as it, it.peer() as peer:
        for _ in range(2):
            await peer.say(HEAD + b"Content-Length: 0\r\n\r\n")
            assert (await peer.answer())[0] == 200
            await asyncio.sleep(0.6)


@pytest.mark.usefixtures("answered_by")
@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "X-Instance-Url", "Content-Type", "Host"])
async def test_what_is_said_twice_is_refused(name: str) -> None:
    async with serving() as it, it.peer() as peer:
        twice = f"{name}: a\r\n{name.upper()}: b\r\n".encode()
        await peer.say(HEAD + twice + b"Content-Length: 0\r\n\r\n")
        status, told = await peer.answer()
        assert (status, told["code"]) == (400, "malformed_request")
        assert it.app.seen == []


@pytest.mark.usefixtures("answered_by")
async def test_a_field_behind_the_body_is_refused_and_not_obeyed() -> None:
    async with serving() as it, it.peer() as peer:
        await peer.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
        assert (await peer.answer())[0] == 400
        assert all(b"authorization" not in headers for headers in it.app.seen)


async def test_what_is_no_http_is_told_so() -> None:
    async with serving() as it, it.peer() as peer:
        await peer.say(b"\x16\x03\x01 what is this\r\n\r\n")
        status, told = await peer.answer()
        assert (status, told["code"]) == (400, "malformed_request")


async def test_after_an_answer_to_half_a_request_nothing_is_added_to_it() -> None:
    async with serving() as it, it.peer() as peer:
        await peer.say(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
        assert await peer.answer() == (200, {"bytes": 0})
        assert await peer.until_closed() == b""


async def test_loopback_may_have_any_number_of_connections() -> None:
    async with serving() as it, it.peer(), it.peer(), it.peer() as third:
        await third.say(HEAD + b"Content-Length: 0\r\n\r\n")
        assert (await third.answer())[0] == 200


async def test_an_address_has_no_more_than_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.serve.http.http_limits.speaks_for_others", lambda *_: False)
    async with serving() as it:
        async with it.peer(), it.peer(), it.peer() as third:
            status, told = await third.answer()
            assert (status, told["code"]) == (503, "overloaded")
        await asyncio.sleep(0.05)
        async with it.peer() as later:
            await later.say(HEAD + b"Content-Length: 0\r\n\r\n")
            assert (await later.answer())[0] == 200


@pytest.mark.parametrize(
    ("address", "trusted"), [("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("11.1.2.3", False), ("", True)]
)
def test_who_is_not_counted(address: str, trusted: bool) -> None:
    assert speaks_for_others(address, [ip_network("10.0.0.0/8")]) is trusted


async def test_who_takes_nothing_of_a_stream_is_dropped_and_who_is_slow_is_not() -> None:
    limits = HttpLimits(unread_s=0.5)
    async with serving(limits) as it, it.peer() as peer:
        await peer.say(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
        for _ in range(4):  # slower than the limit in all, and never without taking something
            await asyncio.sleep(0.25)
            await peer.reader.readexactly(6_000_000)
        assert not it.app.left.is_set()
        transport: Any = peer.writer.transport
        transport.pause_reading()
        async with asyncio.timeout(5):
            await it.app.left.wait()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel cannot be told")
async def test_who_takes_nothing_of_the_little_that_fits_into_the_kernel_is_dropped_too() -> None:
    async with serving(HttpLimits(unread_s=0.5)) as it:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stuck, ("127.0.0.1", it.port))
        stuck.send(b"GET /trickle HTTP/1.1\r\nHost: h\r\n\r\n")
        try:
            async with asyncio.timeout(10):
                await it.app.left.wait()
        finally:
            stuck.close()

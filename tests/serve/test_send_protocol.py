"""Sends are answered by the port's protocol itself, whatever is special about one is handed to the framework."""

import asyncio
import json
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from homing.serve.front import Front
from homing.serve.http.answers import HttpAnswer
from homing.serve.http.http_limits import HttpLimits
from homing.serve.http.send_protocol import DirectSends, answering
from tests.serve.port import Line

BODY = b'{"message": "hello"}'
HEAD = (
    b"POST /api/v1/messages/send HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
)
SEND = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
BEHIND, HERE = b'"by": "framework"', b'"by": "protocol"'


class Sends:
    """Answers once it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str | None, str | None, str | None]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.status, self.error = 200, None
        self.headers: dict[str, str] = {}
        self.refused: list[Any] = []

    async def answer(self, raw: bytes, authorization: str | None, key: str | None, prefer: str | None = None) -> Any:
        self.asked.append((raw, authorization, key, prefer))
        await self.may.wait()
        if self.error is not None:
            raise self.error
        return HttpAnswer(self.status, b'{"by": "protocol"}', self.headers)

    async def note(self, headers: Any, client: Any) -> None:
        self.refused.append(client)


async def framework(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            break
    told = json.dumps({"by": "framework", "path": scope["path"], "bytes": len(body)}).encode()
    headers = [(b"content-length", str(len(told)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


class Port:
    def __init__(self, sends: Sends) -> None:
        front = self.front = Front()
        failed = HttpAnswer(500, b'{"outcome": "unknown"}', {})
        front.opened(framework, DirectSends(sends, 100, lambda: failed, sends.note))
        protocol: Any = answering(HttpLimits(), front)
        config = uvicorn.Config(front, http=protocol, ws="none", lifespan="off", log_config=None, date_header=False)  # type: ignore[arg-type]
        config.load()
        self.state = ServerState()
        self.protocol: Any = protocol(config=config, server_state=self.state, app_state={})
        self.line = Line("192.0.2.7")
        self.protocol.connection_made(self.line)

    async def told(self, *pieces: bytes, turns: int = 20) -> bytes:
        """What was written by the time that nothing more happens."""
        for piece in pieces:
            self.protocol.data_received(piece)
        for _ in range(turns):
            await asyncio.sleep(0)
        return b"".join(self.line.written)


@pytest.fixture
async def sends() -> Sends:
    return Sends()


@pytest.fixture
async def port(sends: Sends) -> Any:
    opened = Port(sends)
    yield opened
    opened.protocol.connection_lost(None)


async def test_a_send_is_answered_in_one_write(port: Port, sends: Sends) -> None:
    sends.headers = {"Retry-After": "2"}
    head = HEAD + b"Idempotency-Key: once\r\nPrefer: respond-async\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    await port.told(head, BODY[:5], BODY[5:])
    assert sends.asked == [(BODY, "Bearer k", "once", "respond-async")]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\nretry-after: 2\r\n\r\n"
    assert port.line.written == [head + b'{"by": "protocol"}']
    assert not port.line.is_closing()
    assert port.state.total_requests == 1


@pytest.mark.parametrize(
    "request_",
    [
        SEND.replace(b"/send ", b"/send?x=1 "),
        SEND.replace(b"/send ", b"/sent "),
        SEND.replace(b"POST", b"PUT"),
        SEND.replace(b"HTTP/1.1", b"HTTP/1.0"),
        SEND.replace(b"application/json", b"multipart/form-data; boundary=x"),
        SEND.replace(b"Host", b"X-Forwarded-Prefix: /homing\r\nHost"),
        SEND.replace(b"Host", b"Expect: 100-continue\r\nHost"),
        HEAD + b"Content-Length: 101\r\n\r\n" + b"x" * 101,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        HEAD + b'Content-Length: 22\r\n\r\n{"media_base64": "AA"}',
    ],
)
async def test_what_is_special_about_a_send_is_the_frameworks(port: Port, sends: Sends, request_: bytes) -> None:
    told = await port.told(request_)
    assert BEHIND in told
    assert not sends.asked
    body = request_.partition(b"\r\n\r\n")[2]
    assert b'"bytes": %d}' % (3 if b"chunked" in request_ else len(body)) in told


async def test_requests_on_one_connection_are_answered_in_their_order(port: Port, sends: Sends) -> None:
    sends.may.clear()
    assert await port.told(SEND + b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n" + SEND) == b""
    sends.may.set()
    told = await port.told(turns=60)
    assert told.index(HERE) < told.index(b'"path": "/health"') < told.index(b'"path": "/api/v1/messages/send"')
    assert len(sends.asked) == 1, "what comes behind an unanswered request is the framework's"
    assert (await port.told(SEND)).count(HERE) == 2


async def test_a_connection_is_closed_behind_the_answer_if_its_client_or_the_server_wants_so(sends: Sends) -> None:
    wanted, told_to_end = Port(sends), Port(sends)
    assert b"connection: close" in await wanted.told(SEND.replace(b"Host", b"Connection: close\r\nHost"))
    sends.may.clear()
    await told_to_end.told(SEND)
    assert len(told_to_end.state.tasks) == 1, "who ends waits for it"
    told_to_end.protocol.shutdown()
    assert not told_to_end.line.is_closing()
    sends.may.set()
    assert b"connection: close" in await told_to_end.told()
    assert wanted.line.is_closing() and told_to_end.line.is_closing()
    assert not told_to_end.state.tasks


async def test_a_gateway_that_leaves_hands_sends_on(port: Port, sends: Sends) -> None:
    port.front.leaves()
    told = await port.told(SEND)
    assert BEHIND in told and b"connection: close" in told
    assert not sends.asked


async def test_a_send_that_fails_inside_is_answered_as_unknown(port: Port, sends: Sends) -> None:
    sends.error = RuntimeError("a defect")  # type: ignore[assignment]
    told = await port.told(SEND)
    assert told.startswith(b"HTTP/1.1 500 ") and b"unknown" in told


async def test_who_brings_no_valid_key_is_noted(port: Port, sends: Sends) -> None:
    sends.status = 401
    await port.told(SEND)
    assert sends.refused == [("192.0.2.7", 1234)]


async def test_a_client_that_left_is_told_nothing_and_its_send_goes_on(port: Port, sends: Sends) -> None:
    sends.may.clear()
    await port.told(SEND)
    port.line.close()
    port.protocol.connection_lost(None)
    sends.may.set()
    assert await port.told() == b""
    assert not port.state.tasks, "it was driven to its end"

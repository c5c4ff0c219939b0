"""Whatever a client writes into a connection of ours. An input is how the bytes are cut, then the bytes."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from fuzz.parsers import lines
from homing.serve.http.answers import HttpAnswer
from homing.serve.http.http_limits import SAID_ONCE, HttpLimits
from homing.serve.http.send_protocol import DirectSends, answering

_LIMITS = HttpLimits(header_bytes=1_024, header_fields=12)
_ANSWERS = (b"HTTP/1.1 200 ", b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")
_loop = asyncio.new_event_loop()

SEEDS = (
    b"0\nGET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
    b"7\nPOST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nAuthorization: Bearer hk\r\n\r\n{}",
    b"0\nPOST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: x\r\n\r\n",
    b"0\nGET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    b"9\nPOST /api/v1/messages/send HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n",
    b"0\nGET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n\r\n",
)
WORDS = (
    b"HTTP/1.1\r\n",
    b"POST /api/v1/messages/send ",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"Connection: ",
    b"Upgrade: websocket",
)


def check(data: bytes) -> None:
    [cut], said = lines(data, 1)
    size = int(cut[:4]) if cut.isascii() and cut.isdecimal() else 0
    pieces = [said[at : at + size] for at in range(0, len(said), size)] if size else [said]
    app = _App()
    written = _loop.run_until_complete(_connection(app, pieces))
    assert not app.wrong, app.wrong[0]
    answers = sum(written.count(each) for each in _ANSWERS)
    assert answers == written.count(b"HTTP/1.1 ") - written.count(b"HTTP/1.1 100 "), "an answer of an unknown kind"
    assert answers <= said.count(b"\n") + 1, "more answers than requests"


class _App:
    """Reads each request and answers how many bytes it had, sends at the port's protocol; notes what should never have
    reached it."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.direct: DirectSends | None = DirectSends(self, _LIMITS.header_bytes, self._failed, self._noted)

    async def answer(self, raw: bytes, *_: object) -> HttpAnswer:
        return HttpAnswer(200, str(len(raw)).encode(), {})

    def _failed(self) -> HttpAnswer:
        self.wrong.append("a send failed at the port")
        return HttpAnswer(400, b"", {})

    async def _noted(self, *_: object) -> None: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        names = [name for name, _ in scope["headers"]]
        if len(names) > _LIMITS.header_fields:
            self.wrong.append("more header fields than may be")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _LIMITS.header_bytes:
            self.wrong.append("a longer head than may be")
        self.wrong += [f"{name!r} is there twice" for name in SAID_ONCE if names.count(name) > 1]
        body, more = b"", True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body, more = body + event["body"], event["more_body"]
        told = str(len(body)).encode()
        headers = [(b"content-length", str(len(told)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})


async def _connection(app: _App, pieces: list[bytes]) -> bytes:
    """What came back over one connection. A fault that the loop or the server would only log is a finding too."""
    _loop.set_exception_handler(lambda _, told: app.wrong.append(str(told.get("exception") or told["message"])))
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False)
    state = ServerState()
    protocol: Any = answering(_LIMITS, app)(config=config, server_state=state, app_state={}, _loop=_loop)
    transport = _Transport()
    protocol.connection_made(transport)
    for piece in pieces:
        if not transport.is_closing():
            protocol.data_received(piece)
            await asyncio.sleep(0)
    while state.tasks and not all(task.done() for task in state.tasks):
        if transport.is_closing() or not await _moved(state, transport):
            break
    protocol.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    protocol._unset_keepalive_if_required()
    return b"".join(transport.written)


async def _moved(state: ServerState, transport: "_Transport") -> bool:
    """Whether anything happens still: a request that waits for the rest of its body does not."""
    before = (len(state.tasks), len(transport.written))
    for _ in range(5):
        await asyncio.sleep(0)
    return before != (len(state.tasks), len(transport.written))


class _Transport(asyncio.Transport):
    """A connection in memory, from an address that no one counts."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written: list[bytes] = []
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

"""Whatever an instance writes into our connection. An input is how the bytes are cut, then the bytes."""

import asyncio
from collections.abc import Callable

from fuzz.parsers import lines
from homing.drivers.http.wire import Reply, Wire, WireLimits
from homing.model.sends.faults import Fault, Phase

_BODY_MAX, _HEAD_MAX = 64, 2_048
_loop = asyncio.new_event_loop()

SEEDS = (
    b"0\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"9\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"3\nHTTP/1.1 103 Early\r\nX: n\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n{}",
    b"1\nHTTP/1.0 500 Oh\r\nConnection: close\r\n\r\nno",
    b"0\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
)
WORDS = (
    b"HTTP/1.1 ",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"Connection: ",
    b"Keep-Alive: ",
    b"\r\n\r\n",
)


def check(data: bytes) -> None:
    [cut], said = lines(data, 1)
    size = int(cut[:4]) if cut.isascii() and cut.isdecimal() else 0
    pieces = [said[at : at + size] for at in range(0, len(said), size)] if size else [said]
    ended, written = _loop.run_until_complete(_one_call([piece for piece in pieces if piece]))
    assert len(written) == 1, "the request was written more than once"
    if isinstance(ended, Fault):
        assert ended.phase in (Phase.INTERRUPTED, Phase.REPLY_MALFORMED)
    else:
        assert 200 <= ended.status <= 599
        assert len(ended.body) <= _BODY_MAX
        assert all(name == name.lower() for name in ended.headers)


async def _one_call(pieces: list[bytes]) -> tuple[Reply | Fault, list[bytes]]:
    made: list[_SpokenTo] = []

    async def connect(
        _host: str, _port: int, _tls: object, factory: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        protocol = factory()
        made.append(_SpokenTo(protocol, pieces))
        protocol.connection_made(made[-1])
        return made[-1], protocol

    wire = Wire(WireLimits(head_bytes=_HEAD_MAX), connect=connect)
    ended = await wire.call("POST", "http://h:1", "/api", body=b"{}", timeout_s=5.0, body_limit_bytes=_BODY_MAX)
    await wire.close()
    return ended, [written for transport in made for written in transport.written]


class _SpokenTo(asyncio.Transport):
    """A connection in memory: once a request is written, the pieces come back in turn, then the end."""

    def __init__(self, protocol: asyncio.Protocol, pieces: list[bytes]) -> None:
        super().__init__()
        self._protocol, self._pieces = protocol, pieces
        self.written: list[bytes] = []
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        _loop.call_soon(self._speak, list(self._pieces))

    def _speak(self, pieces: list[bytes]) -> None:
        if self._closing:
            return
        if pieces:
            self._protocol.data_received(pieces[0])
            _loop.call_soon(self._speak, pieces[1:])
        else:
            self._protocol.eof_received()
            self.abort()

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            _loop.call_soon(self._protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

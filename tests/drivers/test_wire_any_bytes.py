"""Whatever bytes come back, in whatever pieces: the wire answers, never raises, and wrote the request once."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from homing.drivers.http.wire import Reply, Wire
from homing.model.sends.faults import Fault, Phase

REQUESTED = b"POST /api HTTP/1.1\r\n"


class SpokenTo(asyncio.Transport):
    """A connection in memory: once a request is written, the pieces come back in turn, then the end."""

    def __init__(self, protocol: asyncio.Protocol, pieces: list[bytes], *, ends_with: Exception | None = None) -> None:
        super().__init__()
        self._protocol, self._pieces, self._ends_with = protocol, pieces, ends_with
        self.written: list[bytes] = []
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        asyncio.get_running_loop().call_soon(self._speak, list(self._pieces))

    def _speak(self, pieces: list[bytes]) -> None:
        if self._closing:
            return
        if pieces:
            self._protocol.data_received(pieces[0])
            asyncio.get_running_loop().call_soon(self._speak, pieces[1:])
        elif self._ends_with is None:
            self._protocol.eof_received()
            self.abort()
        else:
            self.abort()

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, self._ends_with)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0


def ask(pieces: list[bytes], *, ends_with: Exception | None = None) -> tuple[Reply | Fault, list[bytes]]:
    """One POST over a connection that says these pieces; what came of it, and what was written."""
    made: list[SpokenTo] = []

    async def connect(
        host: str, port: int, tls: object, factory: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        protocol = factory()
        made.append(SpokenTo(protocol, pieces, ends_with=ends_with))
        protocol.connection_made(made[-1])
        return made[-1], protocol

    async def one_call() -> Reply | Fault:
        wire = Wire(connect=connect)
        ended = await wire.call("POST", "http://h:1", "/api", body=b"{}", timeout_s=5.0, body_limit_bytes=64)
        await wire.close()
        return ended

    return asyncio.run(one_call()), [written for transport in made for written in transport.written]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [piece for start, end in pairwise(bounds) if (piece := data[start:end])]


PLACES = st.lists(st.integers(0, 10_000), max_size=8)
LIKE_HTTP = st.lists(
    st.sampled_from([
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 500 Oh\r\n", b"Content-Length: 2\r\n",
        b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
        b"Keep-Alive: timeout=5\r\n", b"\r\n", b"{}", b"2\r\n{}\r\n", b"0\r\n\r\n", b"\x00", b"ffffffffffffffff\r\n",
    ]),
    max_size=8,
).map(b"".join)  # fmt: skip


@settings(max_examples=200)
@given(
    said=st.binary(max_size=60) | LIKE_HTTP, places=st.lists(st.integers(0, 10_000), max_size=4), reset=st.booleans()
)
@example(said=b"", places=[], reset=False)
@example(said=b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", places=[], reset=False)
def test_any_bytes_give_a_reply_or_a_fault_and_one_request(said: bytes, places: list[int], reset: bool) -> None:
    ended, written = ask(cut(said, places), ends_with=ConnectionResetError(104, "reset") if reset else None)
    assert len(written) == 1
    assert written[0].startswith(REQUESTED)
    if isinstance(ended, Fault):
        assert ended.phase in (Phase.INTERRUPTED, Phase.REPLY_MALFORMED)
    else:
        assert 200 <= ended.status <= 599
        assert len(ended.body) <= 64


FRAMED = [
    b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}',
    b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + b'{"ok":\r\n5\r\ntrue}\r\n0\r\n\r\n',
    b"HTTP/1.1 103 Early\r\nX: n\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n" + b'{"ok":true}',
]


@settings(max_examples=100)
@given(framed=st.sampled_from(FRAMED), places=PLACES)
def test_a_whole_reply_reads_the_same_in_whatever_pieces_it_comes(framed: bytes, places: list[int]) -> None:
    ended, _ = ask(cut(framed, places))
    assert isinstance(ended, Reply)
    assert (ended.status, ended.headers["x"], ended.body) == (200, "y", b'{"ok":true}')


@settings(max_examples=100)
@given(framed=st.sampled_from(FRAMED[:2]), place=st.integers(0, 10_000))
def test_a_reply_cut_anywhere_is_never_taken_for_whole(framed: bytes, place: int) -> None:
    ended, _ = ask([framed[: place % len(framed)]])
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.INTERRUPTED

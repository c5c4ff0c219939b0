"""A file on its way to an instance: it may be slow as long as it moves, and half of one is no message."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from scripted_peers import Peer, Serve, answer

from homing.drivers.http.streamed import PIECE_BYTES, StreamedBody
from homing.drivers.http.wire import Reply, Wire, WireLimits
from homing.model.sends.faults import Fault, Phase

Source = Callable[[], AsyncIterator[bytes]]
SIZE = 24 * 1024 * 1024
"""More than the sockets between us and a peer hold."""


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(SIZE // 65536):
        yield bytes(65536)


def file() -> StreamedBody:
    return StreamedBody(b"<", chunks, SIZE, b">", as_base64=False)


async def upload(peer: Peer, *, timeout_s: float, stall_s: float) -> Reply | Fault:
    wire = Wire(WireLimits(stall_s=stall_s))
    try:
        return await wire.call("POST", peer.url, "/send", body=file(), timeout_s=timeout_s)
    finally:
        await wire.close()


async def slow(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the file for about a second, answers only after a pause."""
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(12):
        await reader.readexactly(SIZE // 12)
        await asyncio.sleep(0.08)
    await reader.readexactly(2)
    await asyncio.sleep(0.8)
    writer.write(answer())
    await writer.drain()


async def stalling(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(SIZE // 4)
    await asyncio.sleep(30)


async def breaking(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(SIZE // 4)
    writer.transport.abort()


async def test_a_file_that_moves_slowly_is_waited_for_beyond_any_single_pause(serve: Serve) -> None:
    met = await upload(await serve(slow), timeout_s=20.0, stall_s=0.6)
    assert isinstance(met, Reply), met


async def test_an_upload_of_which_nothing_is_taken_ends_soon_and_was_not_sent(serve: Serve) -> None:
    async with asyncio.timeout(5):
        met = await upload(await serve(stalling), timeout_s=20.0, stall_s=0.3)
    assert isinstance(met, Fault)
    assert met.phase is Phase.CUT_SHORT
    assert "nothing was sent" in met.detail


@pytest.mark.parametrize("talk", [stalling, breaking])
async def test_half_a_file_was_not_sent_however_the_call_ended(serve: Serve, talk: object) -> None:
    met = await upload(await serve(talk), timeout_s=0.5, stall_s=20.0)  # type: ignore[arg-type]
    assert isinstance(met, Fault)
    assert met.phase is Phase.CUT_SHORT


async def silent_afterwards(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(SIZE + 2)
    await asyncio.sleep(30)


async def test_a_whole_file_without_an_answer_may_have_been_sent(serve: Serve) -> None:
    met = await upload(await serve(silent_afterwards), timeout_s=2.0, stall_s=20.0)
    assert isinstance(met, Fault)
    assert met.phase is Phase.REPLY_TIMED_OUT


async def acting(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Has the whole request, and is gone before it answers."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(PIECE_BYTES)
    writer.transport.abort()


async def ends_late() -> AsyncIterator[bytes]:
    """All bytes are there; that they were all is known only later."""
    yield bytes(PIECE_BYTES)
    await asyncio.sleep(30)


async def ends_too_late() -> AsyncIterator[bytes]:
    """More than was announced."""
    yield bytes(PIECE_BYTES)
    yield bytes(PIECE_BYTES)


@pytest.mark.parametrize("source", [ends_late, ends_too_late])
async def test_what_left_to_its_last_byte_may_have_been_acted_on(serve: Serve, source: Source) -> None:
    peer, wire = await serve(acting), Wire()
    body = StreamedBody(b"", source, PIECE_BYTES, b"", as_base64=False)
    try:
        met = await wire.call("POST", peer.url, "/send", body=body, timeout_s=5.0)
    finally:
        await wire.close()
    assert isinstance(met, Fault)
    assert met.phase is Phase.INTERRUPTED, "sent again, it might be said twice"

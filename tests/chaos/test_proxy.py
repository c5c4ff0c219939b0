"""A way that is made bad on purpose: what its clients and its server then meet."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from homing.lab.chaos.ground.conditions import CLEAR, Direction, Passing, WayConditions
from homing.lab.chaos.ground.proxy import Way, open_way

ASKED = b"q" * 50
ANSWERED = b"a" * 100
SOON_S = 0.3


@dataclass(slots=True)
class Server:
    """Answers each question of fifty bytes with a hundred."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(len(ASKED)):
                while len(data) < len(ASKED) and (more := await reader.read(len(ASKED) - len(data))):
                    data += more
                self.asked.append(data)
                if len(data) < len(ASKED):
                    return
                writer.write(ANSWERED)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    known = Server()
    listening = await asyncio.start_server(known.speak, "127.0.0.1", 0)
    known.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield known


@pytest.fixture
async def way(server: Server) -> AsyncIterator[Way]:
    async with open_way(0, ("127.0.0.1", server.port)) as way:
        yield way


@dataclass(slots=True)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self) -> bytes:
        self.writer.write(ASKED)
        return await self.reader.readexactly(len(ANSWERED))


@asynccontextmanager
async def client_of(way: Way) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def silent(waiting: "asyncio.Future[object]") -> bool:
    """Whether nothing comes of it for a while."""
    done, _ = await asyncio.wait([waiting], timeout=SOON_S)
    return not done


async def test_a_clear_way_passes_everything_on_and_both_ends(server: Server, way: Way) -> None:
    async with client_of(way) as client:
        assert await client.ask() == ANSWERED
        client.writer.write_eof()
        assert await client.reader.read() == b""
    assert server.asked == [ASKED]


async def test_much_data_arrives_whole_and_in_order(way: Way) -> None:
    async with client_of(way) as client:
        for _ in range(50):
            client.writer.write(ASKED * 1_000)
        assert await client.reader.readexactly(len(ANSWERED)) == ANSWERED


async def test_latency_delays_both_directions_and_jitter_lets_nothing_overtake(way: Way) -> None:
    way.become(WayConditions(latency_s=0.05, jitter_s=0.05))
    async with client_of(way) as client:
        began_s = time.monotonic()
        await client.ask()
        assert 0.1 <= time.monotonic() - began_s < 0.6


async def test_a_refused_way_resets_what_was_connected_and_lets_nobody_in(way: Way) -> None:
    async with client_of(way) as client:
        await client.ask()
        way.become(WayConditions(Passing.REFUSED))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", way.port)
    way.become(CLEAR)
    async with client_of(way) as client:
        assert await client.ask() == ANSWERED


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere connections are made and nothing passes")
async def test_an_unreachable_way_does_not_even_connect(server: Server, way: Way) -> None:
    async with client_of(way) as before:
        await before.ask()
        way.become(WayConditions(Passing.UNREACHABLE))
        asking = asyncio.ensure_future(before.ask())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await asyncio.open_connection("127.0.0.1", way.port)
        assert not asking.done()
        way.become(CLEAR)
        assert await asking == ANSWERED
    async with client_of(way) as client:
        assert await client.ask() == ANSWERED
    assert server.asked == [ASKED] * 3


async def test_a_way_that_swallows_connects_and_says_nothing_until_it_is_free(server: Server, way: Way) -> None:
    way.become(WayConditions(Passing.SWALLOWED))
    async with client_of(way) as client:
        asking = asyncio.ensure_future(client.ask())
        assert await silent(asking)
        assert server.asked == []
        way.become(CLEAR)
        assert await asking == ANSWERED


async def test_over_a_mute_way_questions_arrive_and_answers_wait(server: Server, way: Way) -> None:
    async with client_of(way) as client:
        await client.ask()
        way.become(WayConditions(Passing.MUTE))
        asking = asyncio.ensure_future(client.ask())
        assert await silent(asking)
        assert server.asked == [ASKED, ASKED]
        way.become(CLEAR)
        assert await asking == ANSWERED


@pytest.mark.parametrize(("of", "heard"), [(Direction.ANSWERS, 2), (Direction.QUESTIONS, 1)])
async def test_a_connection_is_reset_after_so_many_bytes_of_one_direction(
    server: Server, way: Way, of: Direction, heard: int
) -> None:
    async with client_of(way) as client:
        await client.ask()
        way.become(WayConditions(reset_after=40, reset_of=of))
        client.writer.write(ASKED)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(len(ANSWERED))
    await asyncio.sleep(0.05)
    assert server.asked.count(ASKED) == heard


async def test_a_reset_after_nothing_lets_the_question_through_and_no_byte_of_the_answer(
    server: Server, way: Way
) -> None:
    way.become(WayConditions(reset_after=0))
    async with client_of(way) as client:
        client.writer.write(ASKED)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)) as cut:
            await client.reader.readexactly(1)
        assert getattr(cut.value, "partial", b"") == b""
    assert server.asked == [ASKED]


async def test_a_slow_way_takes_its_time(way: Way) -> None:
    way.become(WayConditions(bytes_per_s=250))
    async with client_of(way) as client:
        began_s = time.monotonic()
        assert await client.ask() == ANSWERED
        assert 0.2 <= time.monotonic() - began_s < 1.0


async def test_a_server_that_is_not_there_resets_the_client(server: Server) -> None:
    async with open_way(0, ("127.0.0.1", 1)) as way, client_of(way) as client:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(1)


async def test_closing_leaves_nobody_connected_and_the_port_free(server: Server) -> None:
    async with open_way(0, ("127.0.0.1", server.port)) as way, client_of(way) as client:
        await client.ask()
        await way.close()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", way.port)


async def test_what_is_opened_right_after_a_way_was_shut_is_not_mistaken_for_it(server: Server, way: Way) -> None:
    await asyncio.sleep(0)  # it accepts
    for conditions in (WayConditions(Passing.REFUSED), CLEAR) * 3:
        way.become(conditions)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(ASKED)
        assert await reader.readexactly(len(ANSWERED)) == ANSWERED
        writer.close()
        await writer.wait_closed()

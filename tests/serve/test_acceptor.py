"""Clients that come at once are taken in at once, on the loop that gateways run on."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvloop

from homing.listening import listeners
from homing.serve.http.acceptor import Acceptor


class Counted(asyncio.Protocol):
    """Counts who came, and keeps the socket of the last one."""

    came = 0
    last: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counted.came += 1
        Counted.last = transport.get_extra_info("socket")


def on_uvloop(story: Callable[[], Awaitable[None]]) -> None:
    Counted.came = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(story(), 20))  # type: ignore[arg-type]


@contextmanager
def clients(listening: socket.socket, count: int) -> Iterator[list[socket.socket]]:
    came = [socket.create_connection(listening.getsockname()[:2], 5) for _ in range(count)]
    try:
        yield came
    finally:
        for each in came:
            each.close()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_crowd_is_taken_in_within_a_few_turns_of_the_loop() -> None:
    async def story() -> None:
        [listening, *others] = listeners("127.0.0.1", 0, backlog=1024)
        assert not others
        with listening, clients(listening, 300):
            acceptor = Acceptor(listening, Counted)
            await turns(20)
            assert Counted.came == 300
            acceptor.close()

    on_uvloop(story)


def test_an_answer_is_not_held_back_for_more_of_it() -> None:
    async def story() -> None:
        [listening] = listeners("127.0.0.1", 0, backlog=16)
        with listening, clients(listening, 1):
            acceptor = Acceptor(listening, Counted)
            await turns(20)
            assert Counted.last is not None
            assert Counted.last.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            acceptor.close()

    on_uvloop(story)


def test_one_that_is_closed_takes_in_nobody_more() -> None:
    async def story() -> None:
        [listening] = listeners("127.0.0.1", 0, backlog=16)
        with listening:
            acceptor = Acceptor(listening, Counted)
            acceptor.close()
            with clients(listening, 1):
                await turns(20)
                assert Counted.came == 0

    on_uvloop(story)


class NoRoom(socket.socket):
    """A listening socket of a process that has no descriptor left for a while."""

    refusals = 3

    def accept(self) -> tuple[socket.socket, object]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_without_descriptors_clients_wait_and_the_loop_does_not_spin() -> None:
    async def story() -> None:
        [made] = listeners("127.0.0.1", 0, backlog=16)
        with NoRoom(fileno=made.detach()) as listening, clients(listening, 2):
            acceptor = Acceptor(listening, Counted)
            await turns(50)
            assert (listening.refusals, Counted.came) == (2, 0), "it was asked once"
            for _ in range(200):
                await asyncio.sleep(0.05 if Counted.came < 2 else 0)
            assert (listening.refusals, Counted.came) == (0, 2)
            acceptor.close()

    on_uvloop(story)

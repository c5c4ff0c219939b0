"""A way to a server that can be made as bad as networks are.

It stands at the server's address, on this machine, and is told what to do by whoever opened it. It never invents a
byte and never loses one that it passes on: what it holds back arrives later, or its connection is reset, as with TCP.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random, SystemRandom

from homing.lab.chaos.ground.conditions import CLEAR, Direction, Passing, WayConditions

HOST = "127.0.0.1"
PIECE_BYTES = 64 * 1024
PIECES_HELD = 16
"""Pieces of data on their way in one direction of a connection; beyond them the sender has to wait."""
_SLOW_STEP_S = 0.05
CLOSED_WITHIN_S = 5.0
_RESET = struct.pack("ii", 1, 0)
_BACKLOG = 1024


class Way:
    """Passes connections to `port` on to a server, under the present conditions."""

    def __init__(self, port: int, server: tuple[str, int], chance: Random | None = None, *, host: str = HOST) -> None:
        self.host, self.port, self._server = host, port, server
        self._chance = chance or SystemRandom()
        self._conditions = CLEAR
        self._changed = asyncio.Event()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._fillers: list[socket.socket] = []
        self._joined: set[_Joined] = set()
        self.connections = 0
        """How many were ever made."""

    @property
    def conditions(self) -> WayConditions:
        return self._conditions

    async def open(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        self._listen()

    def become(self, conditions: WayConditions) -> None:
        """These conditions hold from now on, for connections that there are and for new ones."""
        self._conditions = conditions
        self._changed.set()
        self._changed = asyncio.Event()
        for joined in self._joined:
            joined.begin_counting()
        self._let_in()
        if conditions.passing is Passing.REFUSED:
            self.reset()

    def reset(self) -> None:
        """Break every connection there is."""
        for joined in tuple(self._joined):
            joined.reset()

    async def close(self) -> None:
        self._conditions = CLEAR
        self._changed.set()
        self._deafen()
        joined = tuple(self._joined)
        for each in joined:
            each.reset()
        with suppress(TimeoutError):  # what was cut in the midst of joining may never hear of it
            async with asyncio.timeout(CLOSED_WITHIN_S):
                await asyncio.gather(*(each.over.wait() for each in joined))

    async def until_let(self, direction: Direction) -> WayConditions:
        """The conditions, as soon as bytes may go that way."""
        while not self._conditions.lets(direction):
            await self._changed.wait()
        return self._conditions

    def late_by_s(self) -> float:
        return self._conditions.latency_s + self._chance.random() * self._conditions.jitter_s

    async def connect(self) -> socket.socket:
        """A connection to the server. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, self._server)
        except BaseException:
            sock.close()
            raise
        return _hasty(sock)

    def left(self, joined: "_Joined") -> None:
        self._joined.discard(joined)

    # --- who gets in ----------------------------------------------------------------------------------------------

    def _let_in(self) -> None:
        passing = self._conditions.passing
        if passing is Passing.REFUSED:
            self._deafen()
        elif passing is Passing.UNREACHABLE and sys.platform == "linux":
            self._wall_up()
        else:
            self._listen()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _listener(self.host, self.port)
            self.port = self._listener.getsockname()[1]
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._listener.listen(_BACKLOG)
        if self._accepting is None:
            self._accepting = asyncio.get_running_loop().create_task(self._accept_on(self._listener))

    def _wall_up(self) -> None:
        """Accept nobody, with a full queue before the door: Linux then lets wishes to connect go unheard."""
        self._listen()
        self._stop_accepting()
        assert self._listener is not None
        self._listener.listen(0)
        for _ in range(2):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self._fillers.append(filler)

    def _deafen(self) -> None:
        self._stop_accepting()
        for each in (self._listener, *self._fillers):
            if each is not None:
                each.close()
        self._listener = None
        self._fillers.clear()

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
        if self._listener is not None:
            # Before its number may be another socket's: the task itself lets go of it only in its next turn.
            asyncio.get_running_loop().remove_reader(self._listener)

    async def _accept_on(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            self.connections += 1
            joined = _Joined(self, _hasty(client))
            self._joined.add(joined)
            joined.begin()


class _Joined:
    """One connection: the client's side of it, and the server's once that is there."""

    def __init__(self, way: Way, client: socket.socket) -> None:
        self._way = way
        self._sockets = [client]
        self._passed = dict.fromkeys(Direction, 0)
        self._task: asyncio.Task[None] | None = None
        self.over = asyncio.Event()

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def begin_counting(self) -> None:
        self._passed = dict.fromkeys(Direction, 0)

    def reset(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        broken = True
        try:
            await self._way.until_let(Direction.QUESTIONS)
            self._sockets.append(await self._way.connect())
            client, server = self._sockets
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(client, server, Direction.QUESTIONS))
                both.create_task(self._pass(server, client, Direction.ANSWERS))
            broken = False
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in self._sockets:
                if broken:
                    with suppress(OSError):
                        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.close()
            self._way.left(self)
            self.over.set()

    async def _pass(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        """One direction, to its end."""
        on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_HELD)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(source, on_its_way))
            both.create_task(self._give(sink, on_its_way, direction))

    async def _take(self, source: socket.socket, on_its_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(source, PIECE_BYTES)
            await on_its_way.put((loop.time() + self._way.late_by_s(), data))
            if not data:
                return

    async def _give(
        self, sink: socket.socket, on_its_way: asyncio.Queue[tuple[float, bytes]], direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await on_its_way.get()
            if (wait_s := due_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._way.until_let(direction)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            await self._send(sink, data, direction)

    async def _send(self, sink: socket.socket, data: bytes, direction: Direction) -> None:
        loop = asyncio.get_running_loop()
        while data:
            conditions = await self._way.until_let(direction)
            size = self._allowed(conditions, len(data), direction)
            await loop.sock_sendall(sink, data[:size])
            self._passed[direction] += size
            if self._is_to_be_reset(conditions, direction):
                raise ConnectionResetError
            data = data[size:]
            if conditions.bytes_per_s is not None:
                await asyncio.sleep(size / conditions.bytes_per_s)

    def _allowed(self, conditions: WayConditions, size: int, direction: Direction) -> int:
        """How much of this may go at once."""
        if conditions.reset_after is not None and direction is conditions.reset_of:
            size = min(size, max(0, conditions.reset_after - self._passed[direction]))
        if conditions.bytes_per_s is not None:
            size = min(size, max(1, int(conditions.bytes_per_s * _SLOW_STEP_S)))
        return size

    def _is_to_be_reset(self, conditions: WayConditions, direction: Direction) -> bool:
        if conditions.reset_after is None or direction is not conditions.reset_of:
            return False
        return self._passed[direction] >= conditions.reset_after


@asynccontextmanager
async def open_way(port: int, server: tuple[str, int], chance: Random | None = None) -> AsyncIterator[Way]:
    """A way to the server from `port` of this machine (0: any free one), closed afterwards."""
    way = Way(port, server, chance)
    await way.open()
    try:
        yield way
    finally:
        await way.close()


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _hasty(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock

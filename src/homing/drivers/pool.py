"""The connections to one instance: how many there may be, who gets the next one, and who waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from homing.drivers.connection import Connection
from homing.model.faults import Fault, Phase

Opened = Connection | Fault


class Pool:
    """At most `places` connections to one instance, the most recently used one first.

    A place is held by a connection, by an attempt to open one, or by a waiter who was promised it. Waiters are
    served in the order in which they came.
    """

    def __init__(self, *, places: int, waiters: int, open_one: Callable[["Pool", float], Awaitable[Opened]]) -> None:
        self._places, self._waiters, self._open_one = places, waiters, open_one
        self._taken = 0
        self._closed = False
        self._members: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Opened | None]] = deque()

    @property
    def is_empty(self) -> bool:
        return self._taken == 0

    async def take(self, until: float) -> Opened:
        """A connection that is the caller's alone until it is free or gone; by loop time `until`."""
        if self._idle:
            return self._idle.pop()
        if self._taken < self._places:
            self._taken += 1
            return await self._open(until)
        promised = await self._wait(until)
        return promised if promised is not None else await self._open(until)

    def take_idle(self) -> Connection | None:
        """The idle connection used last, if there is any."""
        return self._idle.pop() if self._idle else None

    def free(self, connection: Connection) -> None:
        """The connection ended an exchange in good order."""
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """The connection is of no more use. One that never became a member holds no place."""
        if connection not in self._members:
            return
        self._members.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._leave_place()

    async def close(self) -> None:
        """Close every connection, those still being opened as soon as they are, and send the waiters away."""
        self._closed = True
        while (waiter := self._next_waiter()) is not None:
            waiter.set_result(Fault(Phase.CONNECT_BROKEN, "the wire was closed"))
        closing = [connection.closed for connection in self._members]
        for connection in list(self._members):
            connection.leave()
        if closing:
            await asyncio.wait(closing, timeout=1.0)

    async def _open(self, until: float) -> Opened:
        """Open a connection in a place that is ours already, or give the place up."""
        opened: Opened | None = None
        try:
            opened = await self._open_one(self, until)
            if self._closed and isinstance(opened, Connection):
                opened.leave()
        finally:
            if isinstance(opened, Connection) and not opened.gone:
                self._members.add(opened)
            else:
                self._leave_place()
        return opened

    async def _wait(self, until: float) -> Opened | None:
        """A connection that came free, or None with the promise of a place."""
        if len(self._waiting) >= self._waiters:
            return Fault(Phase.CONNECT_TIMED_OUT, f"{self._waiters} calls are waiting for a connection already")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Opened | None] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_at(until, self._send_away, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._take_back(waiter)
            raise
        finally:
            timer.cancel()

    def _send_away(self, waiter: "asyncio.Future[Opened | None]") -> None:
        if not waiter.done():
            self._waiting.remove(waiter)
            waiter.set_result(
                Fault(Phase.CONNECT_TIMED_OUT, f"none of the {self._places} connections came free in time")
            )

    def _take_back(self, waiter: "asyncio.Future[Opened | None]") -> None:
        """The waiter left. What it may have been given a moment before goes to the next."""
        if waiter.cancelled():
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            return
        given = waiter.result()
        if given is None:
            self._leave_place()
        elif isinstance(given, Connection) and not given.gone:
            self.free(given)

    def _leave_place(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._taken -= 1

    def _next_waiter(self) -> "asyncio.Future[Opened | None] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

"""The connections to one instance: how many there may be, who gets the next one, and who waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from homing.drivers.http.connection import Connection
from homing.drivers.http.lanes import NOBODY
from homing.model.sends.faults import Fault, Phase
from homing.model.shares import may_take

Opened = Connection | Fault


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections there may be, how many of them one session may have, and how many calls may wait.

    `patience_s` is how long a call waits for one, if that is not more than half of the time that it has.
    """

    places: int
    of_a_session: int
    waiters: int
    patience_s: float


class Pool:
    """The connections to one instance, the most recently used one first.

    A place is held by a connection, or by an attempt to open one. It is busy while a call has it. Waiters are served
    in the order in which they came, the sessions that they are of in turn; a session that has its share waits alone.
    """

    def __init__(self, room: PoolLimits, open_one: Callable[["Pool", float], Awaitable[Opened]]) -> None:
        self._room, self._open_one = room, open_one
        self._busy = 0
        self._busy_of: dict[str, int] = {}
        self._closed = False
        self._members: set[Connection] = set()
        self._idle: list[Connection] = []
        self._lines: dict[str, deque[asyncio.Future[Opened | None]]] = {}
        self._waiting = 0

    @property
    def is_empty(self) -> bool:
        return self._busy == 0 and not self._idle

    async def take(self, until: float, session: str = NOBODY) -> Opened:
        """A connection that is the caller's alone until it is free or gone; by loop time `until`."""
        idle = self.take_idle(session)
        if idle is not None:
            return idle
        if self._may_take(session):
            self._enter(session)
            return await self._open(until, session)
        promised = await self._wait(until, session)
        return promised if promised is not None else await self._open_late(until, session)

    def take_idle(self, session: str = NOBODY) -> Connection | None:
        """The idle connection used last, if there is any that the session may have."""
        if not self._idle or not self._may_take(session):
            return None
        self._enter(session)
        return self._given(self._idle.pop(), session)

    def free(self, connection: Connection) -> None:
        """The connection ended an exchange in good order."""
        self._idle.append(connection)
        self._leave(connection.session)

    def gone(self, connection: Connection) -> None:
        """The connection is of no more use. One that never became a member holds no place."""
        if connection not in self._members:
            return
        self._members.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._leave(connection.session)

    async def close(self) -> None:
        """Close every connection, those still being opened as soon as they are, and send the waiters away."""
        self._closed = True
        for session in list(self._lines):
            while (waiter := self._next_waiter(session)) is not None:
                waiter.set_result(Fault(Phase.NOT_ATTEMPTED, "the wire was closed"))
        closing = [connection.closed for connection in self._members]
        for connection in list(self._members):
            connection.leave()
        if closing:
            await asyncio.wait(closing, timeout=1.0)

    async def _open(self, until: float, session: str) -> Opened:
        """Open a connection in a place that is ours already, or give the place up."""
        opened: Opened | None = None
        try:
            opened = await self._open_one(self, until)
            if self._closed and isinstance(opened, Connection):
                opened.leave()
        finally:
            if isinstance(opened, Connection) and not opened.gone:
                self._members.add(self._given(opened, session))
            else:
                self._leave(session)
        return opened

    async def _open_late(self, until: float, session: str) -> Opened:
        """The same, after a wait. That no connection came in the rest of the time is our doing."""
        is_cut_short = until - asyncio.get_running_loop().time() < self._room.patience_s
        opened = await self._open(until, session)
        if is_cut_short and isinstance(opened, Fault) and opened.phase is Phase.CONNECT_TIMED_OUT:
            return Fault(Phase.NOT_ATTEMPTED, "no connection in the time that was left after waiting for a place")
        return opened

    # --- places -------------------------------------------------------------------------------------------------

    def _may_take(self, session: str) -> bool:
        free = self._room.places - self._busy
        used = self._busy_of.get(session, 0)
        if not used or session == NOBODY:
            return free > 0
        return may_take(used, free, self._room.of_a_session)

    def _enter(self, session: str) -> None:
        self._busy += 1
        self._busy_of[session] = self._busy_of.get(session, 0) + 1

    def _leave(self, session: str) -> None:
        self._busy -= 1
        left = self._busy_of.pop(session) - 1
        if left:
            self._busy_of[session] = left
        if self._lines:
            self._serve()

    def _given(self, connection: Connection, session: str) -> Connection:
        connection.session = session
        return connection

    # --- waiting ------------------------------------------------------------------------------------------------

    async def _wait(self, until: float, session: str) -> Opened | None:
        """A connection that came free, or None with the promise of a place."""
        if (full := self._line_is_full(session)) is not None:
            return Fault(Phase.NOT_ATTEMPTED, full)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Opened | None] = loop.create_future()
        self._lines.setdefault(session, deque()).append(waiter)
        self._waiting += 1
        now = loop.time()
        timer = loop.call_at(min(now + self._room.patience_s, (now + until) / 2), self._send_away, waiter, session)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._take_back(waiter, session)
            raise
        finally:
            timer.cancel()

    def _line_is_full(self, session: str) -> str | None:
        room, waiting = self._room.waiters, len(self._lines.get(session, ()))
        if self._waiting >= room:
            return f"{self._waiting} calls are waiting for a connection already"
        if session != NOBODY and not may_take(waiting, room - self._waiting, room):
            return f"{waiting} calls of this session are waiting for a connection already"
        return None

    def _serve(self) -> None:
        """Let those who wait have what they may have now: of each session the first, then that session is the last."""
        while (session := next(filter(self._may_take, self._lines), None)) is not None:
            waiter = self._next_waiter(session)
            if waiter is None:
                continue
            if session in self._lines:
                self._lines[session] = self._lines.pop(session)
            self._enter(session)
            waiter.set_result(self._given(self._idle.pop(), session) if self._idle else None)

    def _send_away(self, waiter: "asyncio.Future[Opened | None]", session: str) -> None:
        if not waiter.done():
            self._strike(waiter, session)
            waiter.set_result(Fault(Phase.NOT_ATTEMPTED, self._why_none(session)))

    def _why_none(self, session: str) -> str:
        used, places = self._busy_of.get(session, 0), self._room.places
        if session != NOBODY and used and self._busy < places:
            return f"the session has {used} of the {places} connections, its share, and none of them came free in time"
        return f"none of the {places} connections came free in time"

    def _take_back(self, waiter: "asyncio.Future[Opened | None]", session: str) -> None:
        """The waiter left. What it may have been given a moment before goes to the next."""
        if waiter.cancelled():
            self._strike(waiter, session)
            return
        given = waiter.result()
        if given is None:
            self._leave(session)
        elif isinstance(given, Connection) and not given.gone:
            self.free(given)

    def _strike(self, waiter: "asyncio.Future[Opened | None]", session: str) -> None:
        line = self._lines.get(session, ())
        if waiter in line:
            assert isinstance(line, deque)
            line.remove(waiter)
            self._shorter(session)

    def _next_waiter(self, session: str) -> "asyncio.Future[Opened | None] | None":
        """The first in the session's line that has not left."""
        while (line := self._lines.get(session)) is not None:
            waiter = line.popleft()
            self._shorter(session)
            if not waiter.done():
                return waiter
        return None

    def _shorter(self, session: str) -> None:
        self._waiting -= 1
        if not self._lines[session]:
            del self._lines[session]

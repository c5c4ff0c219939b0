"""Events as they happen, to those who watch: a server-sent stream that can be resumed where it broke off.

Streams share what there is. One key has at most its part of them, operators find a few kept for them, and whoever
resumes far back is told old events a page at a time, in turn with the others, so that nobody else has to wait.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from homing.model.errors import Code, Problem
from homing.model.instances.events import Event
from homing.ports import CacheCleared, EventsStored, Notice, StoreUnavailable
from homing.serve.callers.access import Caller

log = structlog.get_logger("homing")

PAGE = 100
REPLAY_PAUSE_S = 0.005
"""At the least, between two pages of old events; as long as the page took, if that is longer."""
_GOODBYE = b"retry: 500\n: this gateway ends; come again, and go on where this stream breaks off\n\n"
BEGUN_WITHIN_S = 10.0
"""A stream that was let in and has not begun by then is not counted any more: its client went away before."""
Read = Callable[[int, bool], Awaitable[Sequence[Event]]]
"""The next events behind a sequence number, as far as the watcher may see them; in no hurry if that is said."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many streams there may be: in all, of one key, and how many of all are kept for operators."""

    streams: int = 200
    of_a_key: int = 100
    for_operators: int = 10


@dataclass(slots=True, eq=False)
class StreamPlace:
    """One stream's place among all."""

    key_id: str
    begun: bool = field(default=False)


class EventFeed:
    """Wakes watchers when there is news, and asks now and then unasked: word of news may be lost."""

    def __init__(
        self,
        shares: Shares | None = None,
        *,
        heartbeat_s: float = 15.0,
        poll_s: float = 5.0,
        gather_s: float = 0.05,
    ) -> None:
        self._shares, self._heartbeat_s = shares or Shares(), heartbeat_s
        self._poll_s, self._gather_s = poll_s, gather_s
        self._places: set[StreamPlace] = set()
        self._of_key: Counter[str] = Counter()
        self._closed = False
        self._news = asyncio.Event()
        self._replaying = asyncio.Lock()

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._places)

    @property
    def closed(self) -> bool:
        """Whether all streams are to end."""
        return self._closed

    def release(self, place: StreamPlace) -> None:
        """The stream that had it is over."""
        self._leave(place)

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, EventsStored | CacheCleared):
            self.wake()

    def close(self) -> None:
        """End all streams, so that a server told to stop need not wait for those who would watch for ever."""
        self._closed = True
        self.wake()

    def admit(self, caller: Caller) -> StreamPlace:
        """A place for one stream. Raises Problem while the key, or everybody, has as many as may be."""
        key_id, open_streams = caller.key.id, len(self._places)
        if self._of_key[key_id] >= self._shares.of_a_key:
            detail = f"{self._of_key[key_id]} streams of this key are open, which is its share"
            raise Problem(Code.OVERLOADED, f"{detail}; close one first", retry_after_s=10)
        kept = 0 if caller.workspace is None else self._shares.for_operators
        if open_streams >= self._shares.streams - kept:
            raise Problem(Code.OVERLOADED, f"{open_streams} streams are open, which is the limit", retry_after_s=10)
        place = StreamPlace(key_id)
        self._places.add(place)
        self._of_key[key_id] += 1
        asyncio.get_running_loop().call_later(BEGUN_WITHIN_S, self._give_up, place)
        return place

    async def stream(
        self, place: StreamPlace, after: int, read: Read, show: Callable[[Event], bytes], allowed: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """The events behind `after`, for as long as the watcher stays and is allowed to."""
        place.begun = True
        told_s, behind = time.monotonic(), True
        try:
            yield b"retry: 2000\n\n"
            while allowed() and not self._closed:
                news = self._news
                rows = await (self._next_in_turn(read, after) if behind else self._read(read, after, aside=False))
                if rows:
                    yield b"".join(b"id: %d\ndata: %s\n\n" % (event.sequence, show(event)) for event in rows)
                    after, told_s = rows[-1].sequence, time.monotonic()
                elif time.monotonic() - told_s >= self._heartbeat_s:
                    told_s = time.monotonic()
                    yield b": still here\n\n"
                behind = len(rows) == PAGE
                if not behind:
                    await self._wait(news)
            if self._closed:
                yield _GOODBYE
        finally:
            self._leave(place)

    def wake(self) -> None:
        """Let every stream look: for news, and whether its watcher is still allowed to."""
        self._news.set()
        self._news = asyncio.Event()

    async def _next_in_turn(self, read: Read, after: int) -> Sequence[Event]:
        """One page for somebody who may be far behind. Such take turns, and rest as long as their turn took."""
        async with self._replaying:
            began_s = time.monotonic()
            rows = await self._read(read, after, aside=True)
            if len(rows) == PAGE:
                await asyncio.sleep(max(REPLAY_PAUSE_S, time.monotonic() - began_s))
        return rows

    async def _read(self, read: Read, after: int, *, aside: bool) -> Sequence[Event]:
        try:
            return await read(after, aside)
        except StoreUnavailable as error:
            log.warning("Events could not be read for a stream; it waits", error=str(error))
            return ()

    async def _wait(self, news: asyncio.Event) -> None:
        """Until there is news, or it is time to look unasked. News that come together are told together."""
        try:
            async with asyncio.timeout(min(self._poll_s, self._heartbeat_s)):
                await news.wait()
            await asyncio.sleep(self._gather_s)
        except TimeoutError:
            pass

    def _give_up(self, place: StreamPlace) -> None:
        if not place.begun:
            self._leave(place)

    def _leave(self, place: StreamPlace) -> None:
        if place in self._places:
            self._places.discard(place)
            self._of_key[place.key_id] -= 1
            if not self._of_key[place.key_id]:
                del self._of_key[place.key_id]

"""Events as they happen, to those who watch: a server-sent stream that can be resumed where it broke off."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog

from homing.model.errors import Code, Problem
from homing.model.events import Event
from homing.ports import CacheCleared, EventsStored, Notice, StoreUnavailable

log = structlog.get_logger("homing")

PAGE = 100
Read = Callable[[int], Awaitable[Sequence[Event]]]
"""The next events behind a sequence number, as far as the watcher may see them."""


class EventFeed:
    """Wakes watchers when there is news, and asks now and then unasked: word of news may be lost."""

    def __init__(
        self,
        *,
        watchers_max: int = 200,
        heartbeat_s: float = 15.0,
        poll_s: float = 5.0,
        gather_s: float = 0.05,
    ) -> None:
        self._watchers_max, self._heartbeat_s = watchers_max, heartbeat_s
        self._poll_s, self._gather_s = poll_s, gather_s
        self._watchers = 0
        self._closed = False
        self._news = asyncio.Event()

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, EventsStored | CacheCleared):
            self._wake()

    def close(self) -> None:
        """End all streams, so that a server told to stop need not wait for those who would watch for ever."""
        self._closed = True
        self._wake()

    def admit(self) -> None:
        """Raises Problem while there are as many watchers as may be."""
        if self._watchers >= self._watchers_max:
            raise Problem(Code.OVERLOADED, f"{self._watchers} streams are open, which is the limit", retry_after_s=10)

    async def stream(
        self, after: int, read: Read, show: Callable[[Event], bytes], allowed: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """The events behind `after`, for as long as the watcher stays and is allowed to."""
        self._watchers += 1
        told_s = time.monotonic()
        try:
            yield b"retry: 2000\n\n"
            while allowed() and not self._closed:
                news = self._news
                rows = await self._read(read, after)
                for event in rows:
                    yield b"id: %d\ndata: %s\n\n" % (event.sequence, show(event))
                    after = event.sequence
                if rows:
                    told_s = time.monotonic()
                elif time.monotonic() - told_s >= self._heartbeat_s:
                    told_s = time.monotonic()
                    yield b": still here\n\n"
                if len(rows) < PAGE:
                    await self._wait(news)
        finally:
            self._watchers -= 1

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _read(self, read: Read, after: int) -> Sequence[Event]:
        try:
            return await read(after)
        except StoreUnavailable as error:
            log.warning("Events could not be read for a watcher; it waits", error=str(error))
            return ()

    async def _wait(self, news: asyncio.Event) -> None:
        """Until there is news, or it is time to look unasked. News that come together are told together."""
        try:
            async with asyncio.timeout(min(self._poll_s, self._heartbeat_s)):
                await news.wait()
            await asyncio.sleep(self._gather_s)
        except TimeoutError:
            pass

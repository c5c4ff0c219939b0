"""Waking those who wait for a session as soon as there is news of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from homing.model.fleet import SessionId
from homing.ports import CacheCleared, Notice, PlacementChanged


class SessionWatch:
    """One waiter's ear for one session. News that came since the last pause end the next one at once."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    async def pause(self, at_most_s: float) -> None:
        """Until there is news, or the time is over."""
        if at_most_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    await self._news.wait()
        self._news.clear()


class News:
    """Who waits for which session. News are a reason to look, and say nothing more."""

    def __init__(self) -> None:
        self._watching: dict[SessionId, set[SessionWatch]] = {}

    @contextmanager
    def watch(self, session: SessionId) -> Iterator[SessionWatch]:
        watch = SessionWatch()
        self._watching.setdefault(session, set()).add(watch)
        try:
            yield watch
        finally:
            self._watching[session].discard(watch)
            if not self._watching[session]:
                del self._watching[session]

    def awaited(self) -> frozenset[SessionId]:
        """The sessions that somebody waits for."""
        return frozenset(self._watching)

    @property
    def waiting(self) -> int:
        """How many wait, for whichever session."""
        return sum(map(len, self._watching.values()))

    def tell(self, session: SessionId) -> None:
        """Something was seen of the session: wake all who wait for it."""
        for watch in self._watching.get(session, ()):
            watch.wake()

    def hear(self, notice: Notice) -> None:
        match notice:
            case PlacementChanged(session_id=session):
                self.tell(session)
            case CacheCleared():
                for session in self._watching:
                    self.tell(session)
            case _:
                pass

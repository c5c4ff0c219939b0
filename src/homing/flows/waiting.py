"""Messages that wait for their session to be somewhere, and the word that wakes them."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from homing.model.fleet import SessionId
from homing.ports import CacheCleared, Notice, PlacementChanged


class Change:
    """Whether the placement of one session changed since this watcher last read it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def about_to_read(self) -> None:
        """What changed until now will be seen."""
        self._changed.clear()

    def happened(self) -> None:
        self._changed.set()

    async def within(self, limit_s: float) -> None:
        """Returns at the next change, or one that came since the last reading; at the limit in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._changed.wait()


class Waiting:
    """Who waits for which session in this gateway."""

    def __init__(self) -> None:
        self._watching: dict[SessionId, list[Change]] = {}
        self._stuck: Counter[SessionId] = Counter()

    @contextmanager
    def watch(self, session: SessionId) -> Iterator[Change]:
        """Hear of changes of the session's placement within the block."""
        change = Change()
        self._watching.setdefault(session, []).append(change)
        try:
            yield change
        finally:
            watchers = self._watching[session]
            watchers.remove(change)
            if not watchers:
                del self._watching[session]

    @contextmanager
    def stuck(self, session: SessionId) -> Iterator[None]:
        """Within the block a message waits for the session to be somewhere."""
        self._stuck[session] += 1
        try:
            yield
        finally:
            self._stuck[session] -= 1
            if not self._stuck[session]:
                del self._stuck[session]

    def sessions(self) -> frozenset[SessionId]:
        """The sessions for which messages wait."""
        return frozenset(self._stuck)

    def hear(self, notice: Notice) -> None:
        match notice:
            case PlacementChanged(session_id=session):
                changes = self._watching.get(session, [])
            case CacheCleared():
                changes = [change for watchers in self._watching.values() for change in watchers]
            case _:
                return
        for change in changes:
            change.happened()

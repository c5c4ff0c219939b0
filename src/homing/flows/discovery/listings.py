"""Asking every instance for its session list, once, in parallel and within a limit."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from math import inf

from homing.model.fleet import InstanceUrl, ListedSession, Listing, NoList, SessionId, SessionList
from homing.model.sends.faults import Fault, Phase
from homing.ports import Clock, Fleet

EACH_AT_ONCE = 8
"""Sessions that one instance is asked after at a time, where its gateway gives no list."""
SILENT_FOR_S = 10.0
"""An instance that gave no list is asked with less patience for this long."""


class RecentLists:
    """Lists for those who ask often and can do with a moment old: each instance's is read once meanwhile."""

    def __init__(self, lists: "Lists", clock: Clock, *, for_s: float = 2.0, apart_s: float = 0.5) -> None:
        """A list is given to others for `for_s`; whoever needs a newer one has it read `apart_s` after it at best."""
        self._lists, self._clock, self._for_s, self._apart_s = lists, clock, for_s, apart_s
        self._read: dict[InstanceUrl, tuple[float, asyncio.Task[Listing]]] = {}

    async def read_all(self, *, since_s: float = -inf) -> dict[InstanceUrl, Listing]:
        """One from each known instance, none of which was asked for before `since_s` (of the clock's)."""
        urls = self._lists.instances()
        listings = await asyncio.gather(*(self.read(url, since_s=since_s) for url in urls))
        return dict(zip(urls, listings, strict=True))

    async def read(self, url: InstanceUrl, *, since_s: float = -inf) -> Listing:
        """One instance's list."""
        read = self._read.get(url)
        if read is not None and read[0] < since_s:
            await self._clock.sleep(max(0.0, read[0] + self._apart_s - self._clock.monotonic()))
            read = self._read.get(url)
        now_s = self._clock.monotonic()
        old = read is not None and (read[0] < since_s or now_s - read[0] > self._for_s or _failed(read[1]))
        if read is None or old:
            read = self._read[url] = now_s, asyncio.get_running_loop().create_task(self._lists.read(url))
        return await asyncio.shield(read[1])


def _failed(reading: "asyncio.Task[Listing]") -> bool:
    return reading.done() and (reading.cancelled() or reading.exception() is not None)


class Lists:
    """Reads the lists of all instances. An instance that just failed to answer is given less time the next time."""

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        *,
        timeout_s: float = 2.0,
        at_once: int = 64,
        failing: Callable[[InstanceUrl, ListedSession], None] | None = None,
        heard: Callable[[Listing], None] | None = None,
    ) -> None:
        """`failing` hears of each session that is listed with an error, `heard` of every list that was asked for."""
        self._failing, self._heard = failing, heard
        self._fleet, self._clock = fleet, clock
        self._timeout_s, self._at_once = timeout_s, asyncio.Semaphore(at_once)
        self._silent_since_s: dict[InstanceUrl, float] = {}

    async def read_all(self) -> dict[InstanceUrl, Listing]:
        """One answer from each known instance, in the roster's order; NoList for those that gave none in time."""
        return await self.read_some(self.instances())

    async def read_some(self, urls: Iterable[InstanceUrl]) -> dict[InstanceUrl, Listing]:
        """The same, from these instances alone."""
        listings = await asyncio.gather(*(self.read(url) for url in urls))
        return {listing.instance_url: listing for listing in listings}

    def instances(self) -> list[InstanceUrl]:
        """The instances that there are to ask."""
        return list(self._fleet.roster.instances)

    async def one(self, url: InstanceUrl, session_id: SessionId) -> ListedSession | Fault:
        """One session, for want of a list."""
        return await self._fleet.driver(url).session(url, session_id, timeout_s=self._timeout_s)

    async def each(self, url: InstanceUrl, sessions: Sequence[SessionId]) -> Listing:
        """These sessions of an instance whose gateway gives no list, as far as it has them: each is asked after.

        NoList if it does not tell of one of them.
        """
        places, rows = asyncio.Semaphore(EACH_AT_ONCE), dict[SessionId, ListedSession]()

        async def one(session: SessionId) -> Fault | None:
            async with places:
                found = await self.one(url, session)
            if isinstance(found, ListedSession):
                rows[session] = found
                return None
            return None if found.phase is Phase.SESSION_NOT_FOUND else found

        faults = [fault for fault in await asyncio.gather(*map(one, sessions)) if fault is not None]
        return NoList(url, str(faults[0]), faults[0]) if faults else SessionList(url, rows)

    async def read(self, url: InstanceUrl) -> Listing:
        """One instance's list."""
        async with self._at_once:
            listing = await self._fleet.driver(url).sessions(url, timeout_s=self._patience_s(url))
        self._note(listing)
        return listing

    def _patience_s(self, url: InstanceUrl) -> float:
        since_s = self._silent_since_s.get(url)
        recently = since_s is not None and self._clock.monotonic() - since_s < SILENT_FOR_S
        return self._timeout_s / 4 if recently else self._timeout_s

    def _note(self, listing: Listing) -> None:
        if self._heard is not None:
            self._heard(listing)
        match listing:
            case NoList(fault=Fault(phase=Phase.NOT_ATTEMPTED)):
                pass
            case NoList(instance_url=url):
                self._silent_since_s[url] = self._clock.monotonic()
            case SessionList(instance_url=url, sessions=sessions):
                self._silent_since_s.pop(url, None)
                if self._failing is not None:
                    for row in sessions.values():
                        if row.error is not None:
                            self._failing(url, row)

"""Asking every instance for its session list, once, in parallel and within a limit."""

import asyncio

from homing.model.fleet import Instance, InstanceUrl, Listing, NoList, SessionList
from homing.ports import Clock, Fleet

SILENT_FOR_S = 10.0
"""An instance that gave no list is asked with less patience for this long."""


class Lists:
    """Reads the lists of all instances. An instance that just failed to answer is given less time the next time."""

    def __init__(self, fleet: Fleet, clock: Clock, *, timeout_s: float = 2.0, at_once: int = 64) -> None:
        self._fleet, self._clock = fleet, clock
        self._timeout_s, self._at_once = timeout_s, asyncio.Semaphore(at_once)
        self._silent_since_s: dict[InstanceUrl, float] = {}

    async def read_all(self) -> dict[InstanceUrl, Listing]:
        """One answer from each known instance, in the roster's order; NoList for those that gave none in time."""
        instances = list(self._fleet.roster.instances.values())
        listings = await asyncio.gather(*(self._read(instance) for instance in instances))
        return {listing.instance_url: listing for listing in listings}

    async def _read(self, instance: Instance) -> Listing:
        async with self._at_once:
            driver = self._fleet.driver(instance.url)
            listing = await driver.sessions(instance.url, timeout_s=self._patience_s(instance.url))
        self._note(listing)
        return listing

    def _patience_s(self, url: InstanceUrl) -> float:
        since_s = self._silent_since_s.get(url)
        recently = since_s is not None and self._clock.monotonic() - since_s < SILENT_FOR_S
        return self._timeout_s / 4 if recently else self._timeout_s

    def _note(self, listing: Listing) -> None:
        match listing:
            case NoList(instance_url=url):
                self._silent_since_s[url] = self._clock.monotonic()
            case SessionList(instance_url=url):
                self._silent_since_s.pop(url, None)

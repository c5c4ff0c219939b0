"""Asking instances what they have open and since when they run, for those who may start something there."""

import asyncio
from collections.abc import Callable, Collection

from homing.model.fleet import InstanceUrl, NoList, SessionId, SessionStatus
from homing.model.instances.restoring import Answered, Look, Looks, Silent
from homing.model.sends.faults import Fault, Phase
from homing.ports import Fleet, InstanceHealth


class Looking:
    """Reads the list and the health of instances, side by side and within a limit."""

    def __init__(
        self,
        fleet: Fleet,
        refused_ago_s: Callable[[InstanceUrl], float | None],
        *,
        timeout_s: float = 5.0,
        at_once: int = 64,
    ) -> None:
        self._fleet, self._refused_ago_s = fleet, refused_ago_s
        self._timeout_s, self._at_once = timeout_s, asyncio.Semaphore(at_once)

    async def look(self, urls: Collection[InstanceUrl]) -> Looks:
        """What each of these answers now."""
        looks = await asyncio.gather(*(self._one(url) for url in dict.fromkeys(urls)))
        return {look.url: look for look in looks}

    async def _one(self, url: InstanceUrl) -> Look:
        async with self._at_once:
            driver = self._fleet.driver(url)
            # Its age first: a process that began between the two is then no older than we think.
            health = await driver.health(url, timeout_s=self._timeout_s)
            if isinstance(health, Fault):
                return self._silent(url, str(health), refused=health.phase is Phase.REFUSED)
            listing = await driver.sessions(url, timeout_s=self._timeout_s)
        if isinstance(listing, NoList):
            return self._silent(url, listing.reason, refused=False)
        return self._answered(url, health, {session: row.status for session, row in listing.sessions.items()})

    def _answered(self, url: InstanceUrl, health: InstanceHealth, sessions: dict[SessionId, SessionStatus]) -> Answered:
        return Answered(url, sessions, health.uptime_s, self._refused_ago_s(url))

    def _silent(self, url: InstanceUrl, reason: str, *, refused: bool) -> Silent:
        instance = self._fleet.roster.instances.get(url)
        exited = refused and instance is not None and instance.exited_at is not None
        return Silent(url, reason, exited=exited)

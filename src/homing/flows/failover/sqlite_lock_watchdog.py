"""Whoever is stopped in the middle of a write to the database file keeps everybody from writing, until somebody acts.

A file's write lock belongs to a process, and the system takes it back only when that process ends. An instance that is
stopped so long would soon lose its sessions anyway; with the lock it would take all other instances along. So it is
ended, which is a fence beyond doubt. Anybody else is spoken of, and left alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from homing.flows.background.alerts import AlertBook, Unkept
from homing.model.alerts import FLEET, AlertKind
from homing.model.locks import LockHolder
from homing.ports import Clock, StoreUnavailable
from homing.ports.aside import Aside, at_once

log = structlog.get_logger("homing")

LOOK_EVERY_S = 0.25
LOOKS = 10
"""In so many looks, one after the other, it has to stand: longer than the stalls of two seconds that everybody is to
bear, and early enough for the others' leases. Looks are counted, and not time: we may have been stopped with it."""
ENDED_SHOWN_S = 600.0
"""How long the alert about an instance that was ended stands: the condition itself is over with it."""


class Lock(Protocol):
    """The write lock of the database file."""

    def holder(self) -> LockHolder | None: ...

    def end(self, holder: LockHolder) -> bool:
        """End that process, if it still has the lock and still stands; whether that was so."""
        ...


class Unblocking:
    """Watches the lock. `ends`: whether it may end an instance that stands; if not, it only speaks of it.

    `ended` hears by its mark of who was ended, so that nobody has to wait for its lease to run out.
    """

    def __init__(
        self,
        lock: Lock,
        clock: Clock,
        ended: Callable[[str], Awaitable[object]],
        *,
        ends: bool,
        alerts: AlertBook | None = None,
        aside: Aside = at_once,
    ) -> None:
        """`aside`: where the system is asked, which takes it a few milliseconds while many locks are held."""
        self._aside = aside
        self.alerts = alerts or AlertBook(Unkept(), clock)
        self._ended_s: float | None = None
        self._lock, self._clock, self._ended, self._ends = lock, clock, ended, ends
        self._telling: set[asyncio.Task[None]] = set()
        self._standing: LockHolder | None = None
        self._looks = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """One look at who has the lock."""
        holder = await self._aside(self._lock.holder)
        if self._ended_s is None or self._clock.monotonic() - self._ended_s > ENDED_SHOWN_S:
            self._ended_s = None
            self.alerts.resolved(AlertKind.WRITER_ENDED, FLEET)
        if holder is None or not holder.is_stopped:
            self.alerts.resolved(AlertKind.DATABASE_LOCKED, FLEET)
            self._standing, self._looks = None, 0
            return
        self._looks = self._looks + 1 if holder == self._standing else 1
        self._standing = holder
        if self._looks >= LOOKS:
            self._act(holder)

    def _act(self, holder: LockHolder) -> None:
        stood = f"{holder} is stopped in the middle of a write, and nobody else can write"
        if self._ends and holder.is_instance:
            if self._lock.end(holder):
                self._ended_s = self._clock.monotonic()
                self.alerts.raised(AlertKind.WRITER_ENDED, FLEET, stood)
                self._tell(holder.mark)
        else:
            self.alerts.raised(AlertKind.DATABASE_LOCKED, FLEET, f"{stood}: kill -CONT {holder.pid}, or end it")

    def _tell(self, mark: str) -> None:
        if mark:
            telling = asyncio.get_running_loop().create_task(self._told(mark))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def _told(self, mark: str) -> None:
        try:
            await self._ended(mark)
        except StoreUnavailable as error:
            log.warning("Its sessions wait for its lease to run out", error=str(error))

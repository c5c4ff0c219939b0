"""Whoever is stopped in the middle of a write to the database file keeps everybody from writing, until somebody acts.

A file's write lock belongs to a process, and the system takes it back only when that process ends. An instance that is
stopped so long would soon lose its sessions anyway; with the lock it would take all other instances along. So it is
ended, which is a fence beyond doubt. Anybody else is spoken of, and left alone.
"""

from dataclasses import dataclass
from typing import Protocol

import structlog

from homing.model.locks import LockHolder
from homing.ports import Clock

log = structlog.get_logger("homing")

LOOK_EVERY_S = 0.25
STOPPED_FOR_S = 2.5
"""More than the stalls of two seconds that everybody is to bear; early enough for the others' leases."""
TOLD_EVERY_S = 10.0


class Lock(Protocol):
    """The write lock of the database file."""

    def holder(self) -> LockHolder | None: ...

    def end(self, holder: LockHolder) -> bool:
        """End that process, if it still has the lock and still stands; whether that was so."""
        ...


@dataclass(slots=True)
class _Standing:
    """One that was seen stopped, with the lock, since `since_s`."""

    holder: LockHolder
    since_s: float
    told_s: float | None = None


class Unblocking:
    """Watches the lock. `ends`: whether it may end an instance that stands; if not, it only speaks of it."""

    def __init__(self, lock: Lock, clock: Clock, *, ends: bool) -> None:
        self._lock, self._clock, self._ends = lock, clock, ends
        self._standing: _Standing | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """One look at who has the lock."""
        holder, now_s = self._lock.holder(), self._clock.monotonic()
        if holder is None or not holder.is_stopped:
            self._standing = None
            return
        if self._standing is None or self._standing.holder != holder:
            self._standing = _Standing(holder, now_s)
        if now_s - self._standing.since_s >= STOPPED_FOR_S:
            self._act(self._standing, now_s)

    def _act(self, standing: _Standing, now_s: float) -> None:
        holder = standing.holder
        stood = f"{holder} is stopped in the middle of a write, and nobody else can write"
        if self._ends and holder.is_instance:
            if self._lock.end(holder):
                log.error("Stopped instance ended", alert=True, reason=stood)
            self._standing = None
        elif standing.told_s is None or now_s - standing.told_s >= TOLD_EVERY_S:
            standing.told_s = now_s
            log.error("The database file is locked", alert=True, reason=stood, do=f"kill -CONT {holder.pid}, or end it")

"""Work that outlives who asked for it, and what runs by itself."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from homing.model.work import Ending, Job, JobId, JobState, NewJob, NotDue, ScheduleRecord, Tick, WorkFigures
from homing.ports.pages import Page


class Work(Protocol):
    """Work that outlives who asked for it and who does it. Raises StoreUnavailable; leases run by the store's clock.

    A job is claimed under a lease and a fence that rises with every claim: whoever is slow, or comes back from the
    dead, is refused with the older one. Jobs of one key are done one at a time, in the order in which they came,
    and one that has to be tried again holds up those behind it; a dead or cancelled one does not. Keys are
    independent of each other, and shared by all kinds. Work may be done twice, but never at the same time.
    """

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[JobId | None]:
        """The new jobs' ids, in order; None where an unfinished job of the same kind and `dedup` exists already."""
        ...

    async def claim(self, kind: str, *, owner: str, limit: int, lease_s: float, fair: bool = False) -> list[Job]:
        """Up to `limit` jobs to be done now, most urgent first; those too whose lease ran out.

        `fair`: of each share as many as of any other, counting those that are being done.
        """
        ...

    async def renew(self, jobs: Collection[Job], *, lease_s: float) -> set[JobId]:
        """Hold these for `lease_s` from now on; those not in the answer are not ours any more."""
        ...

    async def settle(self, endings: Sequence[tuple[Job, Ending]]) -> set[JobId]:
        """How attempts ended; those not in the answer were refused, since somebody else has the job by now."""
        ...

    async def cancel(self, id: JobId) -> bool:
        """Take back a job that nobody has claimed. False if it is running or finished."""
        ...

    async def replay(self, ids: Collection[JobId]) -> set[JobId]:
        """Let dead jobs live again, with all their attempts; those that cannot are not in the answer."""
        ...

    async def job(self, id: JobId) -> Job | None: ...

    async def jobs(self, page: Page, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        """Newest first; `page.after` is the id below which to go on, 0 for the newest."""
        ...

    async def open_of(self, kind: str, dedups: Collection[str]) -> dict[str, Job]:
        """The newest job of each `dedup` that is unfinished or dead, in one SELECT; those without one are absent."""
        ...

    async def latest(self, kind: str, dedup: str) -> Job | None:
        """The newest job of the kind with this `dedup`, finished or not."""
        ...

    async def figures(self) -> list[WorkFigures]: ...

    async def next_due_s(self, kind: str) -> float | None:
        """In how many seconds there is, as far as is known, a job of the kind to claim. None: never."""
        ...

    async def prune(self, *, done_keep_s: float, dead_keep_s: float, limit: int) -> int:
        """Forget jobs that were finished longer ago than that, at most so many; returns how many went."""
        ...

    def bell(self, kind: str) -> asyncio.Event:
        """Set whenever there may be work of the kind, whoever brought it. To be cleared before a claim."""
        ...


class Schedules(Protocol):
    """Named schedules, each run once for every tick among all gateways. Raises StoreUnavailable."""

    async def begin(self, name: str, expression: str, *, owner: str, lease_s: float) -> Tick | NotDue:
        """The tick that is ours to run, if one is due and nobody runs the schedule. Both by the store's clock.

        Ticks that were missed are one. A run whose holder's lease ended is begun anew, under a higher fence.
        """
        ...

    async def renew(self, tick: Tick, *, lease_s: float) -> bool: ...

    async def finish(self, tick: Tick, *, result: str = "", error: str = "") -> bool:
        """How the run ended; False if it is somebody else's by now."""
        ...

    async def schedules(self) -> list[ScheduleRecord]:
        """All that were ever begun or switched off, by name."""
        ...

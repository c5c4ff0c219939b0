"""Doing durable work of one kind: claimed under a lease that is renewed, tried again with patience, never lost.

What an attempt did may have been done before, by a gateway that died before it could say so. A handler that must not
act twice passes the job's fence along to whatever it acts upon.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from homing.decide.work.attempts import RetryPolicy, after_failure, before_attempt
from homing.model.work import TAKEN_OVER, Concluded, Dead, Done, Ending, GivenBack, Job, JobId, Retry
from homing.ports import Clock, Entropy, StoreUnavailable, Work

log = structlog.get_logger("homing")

Handler = Callable[[Job], Awaitable[str | Ending | Concluded]]
"""Does one job and answers with its result in a sentence, or with how it ended. What it raises is a failure."""
BatchHandler = Callable[[Sequence[Job]], Awaitable[Mapping[JobId, Ending | Concluded]]]
"""Does jobs that were claimed together, and answers how each ended. One that it lets go in the middle goes on in it;
whatever that still does must be refused by its own fence."""

TRUSTED_PART = 0.8
"""For this part of a lease, counted from before it was asked for, we act on it."""
STORE_PAUSE_S = 1.0
LEAVE_TIMEOUT_S = 2.0
_LARGEST_BATCH = 500
_SOONEST_S = 0.02


@dataclass(frozen=True, slots=True)
class Duty:
    """How jobs of one kind are done here, one by one or `together`.

    `poll_s` is how often to look for work of which no word came. `fair`: each share gets as much as any other.
    """

    handler: Handler | None = None
    together: BatchHandler | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    at_once: int = 8
    lease_s: float = 15.0
    poll_s: float = 5.0
    fair: bool = False


@dataclass(slots=True, eq=False)
class _Held:
    """One job in our hands: its attempt, and until when we trust our lease on it."""

    job: Job
    trusted_until_s: float
    attempt: "asyncio.Task[None] | None" = None


class Worker:
    """Claims and does jobs of one kind, some at once, until cancelled; then gives back what it had begun."""

    def __init__(self, work: Work, clock: Clock, entropy: Entropy, kind: str, duty: Duty, *, owner: str) -> None:
        self._work, self._clock, self._entropy = work, clock, entropy
        self._kind, self._duty, self._owner = kind, duty, owner
        self._bell = work.bell(kind)
        self._held: dict[JobId, _Held] = {}
        self._ended: list[tuple[Job, Ending]] = []
        self._some_ended = asyncio.Event()

    async def run(self) -> None:
        log.info("A worker starts", kind=self._kind, owner=self._owner, at_once=self._duty.at_once)
        try:
            async with asyncio.TaskGroup() as group:
                for service in (self._claim_on, self._settle_on, self._renew_on):
                    group.create_task(service())
        finally:
            await self._leave()

    # --- claiming ---------------------------------------------------------------------------------------------

    async def _claim_on(self) -> None:
        while True:
            self._bell.clear()
            free = self._duty.at_once - len(self._held)
            claimed = await self._claim(free) if free else 0
            if claimed < free:
                await self._wait_for_work()
            else:
                await self._bell.wait()  # rung when an attempt is settled

    async def _claim(self, free: int) -> int:
        asked_s = self._clock.monotonic()
        try:
            duty = self._duty
            jobs = await self._work.claim(
                self._kind, owner=self._owner, limit=free, lease_s=duty.lease_s, fair=duty.fair
            )
        except StoreUnavailable as error:
            log.warning("No work could be claimed", kind=self._kind, error=str(error))
            await self._clock.sleep(STORE_PAUSE_S)
            return 0
        self._begin([_Held(job, asked_s + TRUSTED_PART * self._duty.lease_s) for job in jobs])
        return len(jobs)

    async def _wait_for_work(self) -> None:
        """Until somebody rings, or a job is due. Word may be missed, so it looks now and then, which only reads."""
        is_due = False
        while not (is_due or self._bell.is_set()):
            due_s = await self._next_due_s()
            is_due = due_s is not None and due_s <= self._duty.poll_s
            wait_s = max(due_s, _SOONEST_S) if due_s is not None and is_due else self._duty.poll_s
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._bell.wait()

    async def _next_due_s(self) -> float | None:
        try:
            return await self._work.next_due_s(self._kind)
        except StoreUnavailable:
            return None

    # --- doing ------------------------------------------------------------------------------------------------

    def _begin(self, claimed: Sequence[_Held]) -> None:
        tried = []
        for held in claimed:
            self._held[held.job.id] = held
            if held.job.reason == TAKEN_OVER:
                log.info("A job is taken over", kind=self._kind, job=held.job.id, fence=held.job.fence)
            hopeless = before_attempt(held.job, self._duty.policy)
            if hopeless is not None:
                self._end(held.job, hopeless)
            else:
                tried.append(held)
        for group in [tried] if self._duty.together else [[held] for held in tried]:
            if group:
                attempt = asyncio.get_running_loop().create_task(self._attempt(group))
                for held in group:
                    held.attempt = attempt

    async def _attempt(self, group: Sequence[_Held]) -> None:
        endings: Mapping[JobId, Ending | Concluded]
        try:
            endings = await self._handled([held.job for held in group])
        except asyncio.CancelledError:
            ours = [held for held in group if self._held.get(held.job.id) is held]
            if not ours:
                raise
            endings = {held.job.id: self._after(held.job, "it was cancelled from within") for held in ours}
        except Exception as error:
            log.exception("A job failed", kind=self._kind, jobs=[held.job.id for held in group])
            failure = str(error) or type(error).__name__
            endings = {held.job.id: self._after(held.job, failure) for held in group}
        for held in group:
            unsaid = held.job.id not in endings and self._held.get(held.job.id) is held
            if unsaid:
                self._end(held.job, self._after(held.job, "its handler did not say how it ended"))
            elif held.job.id in endings:
                self._end(held.job, endings[held.job.id])

    async def _handled(self, jobs: Sequence[Job]) -> Mapping[JobId, Ending | Concluded]:
        if self._duty.together is not None:
            return await self._duty.together(jobs)
        assert self._duty.handler is not None
        answer = await self._duty.handler(jobs[0])
        return {jobs[0].id: Done(answer) if isinstance(answer, str) else answer}

    def _after(self, job: Job, failure: str) -> Retry | Dead:
        now, chance = self._clock.now(), self._entropy.random()
        return after_failure(job, failure, now=now, policy=self._duty.policy, chance=chance)

    # --- writing down how it ended ----------------------------------------------------------------------------

    def _end(self, job: Job, ending: Ending | Concluded) -> None:
        if isinstance(ending, Concluded):
            held = self._held.get(job.id)
            if held is not None and held.job.fence == job.fence:
                del self._held[job.id]
            self._bell.set()
            return
        self._ended.append((job, ending))
        self._some_ended.set()

    async def _settle_on(self) -> None:
        while True:
            await self._some_ended.wait()
            self._some_ended.clear()
            try:
                await self._settle()
            except StoreUnavailable as error:
                log.warning("How jobs ended could not be stored", kind=self._kind, error=str(error))
                self._some_ended.set()
                await self._clock.sleep(STORE_PAUSE_S)

    async def _settle(self) -> None:
        """Those that ended while the last batch was being stored go together in the next one."""
        while endings := self._ended[:_LARGEST_BATCH]:
            accepted = await self._work.settle(endings)
            del self._ended[: len(endings)]
            for job, ending in endings:
                self._report(job, ending, accepted=job.id in accepted)
                held = self._held.get(job.id)
                if held is not None and held.job.fence == job.fence:
                    del self._held[job.id]
            self._bell.set()

    def _report(self, job: Job, ending: Ending, *, accepted: bool) -> None:
        if not accepted:
            log.warning("A job was taken over while we did it", kind=self._kind, job=job.id, fence=job.fence)
        elif isinstance(ending, Retry) and ending.counts:
            log.info("A job is tried again", kind=self._kind, job=job.id, after_s=ending.after_s, reason=ending.reason)
        elif isinstance(ending, Dead):
            log.error("A job is dead", kind=self._kind, job=job.id, key=job.key, reason=ending.reason)

    # --- holding ----------------------------------------------------------------------------------------------

    async def _renew_on(self) -> None:
        while True:
            await self._clock.sleep(self._renewal_s())
            if self._held:
                await self._renew(list(self._held.values()))

    def _renewal_s(self) -> float:
        """How long something about renewing may take, before the first of our leases cannot be trusted any more."""
        now_s = self._clock.monotonic()
        ends_s = min((held.trusted_until_s for held in self._held.values()), default=now_s + self._duty.lease_s)
        return min(self._duty.lease_s / 4, max(ends_s - now_s, 0.0))

    async def _renew(self, held: list[_Held]) -> None:
        asked_s, kept = self._clock.monotonic(), None
        try:
            async with asyncio.timeout(self._renewal_s()):
                kept = await self._work.renew([each.job for each in held], lease_s=self._duty.lease_s)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("Leases of jobs could not be renewed", kind=self._kind, error=str(error) or "no answer in time")
        now_s = self._clock.monotonic()
        for each in held:
            if kept is not None and each.job.id in kept:
                each.trusted_until_s = asked_s + TRUSTED_PART * self._duty.lease_s
            elif kept is not None:
                self._lose(each, "it is not ours any more")
            elif now_s >= each.trusted_until_s:
                self._lose(each, "its lease could not be renewed in time")

    def _lose(self, held: _Held, why: str) -> None:
        """Stop acting on a job that somebody else may have by now."""
        if self._held.get(held.job.id) is not held:
            return  # it was settled meanwhile
        del self._held[held.job.id]
        self._bell.set()
        if held.attempt is None or held.attempt.done():
            return
        log.warning("A job is let go in the middle", kind=self._kind, job=held.job.id, reason=why)
        if all(other.attempt is not held.attempt for other in self._held.values()):
            held.attempt.cancel()

    # --- leaving ----------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """End what is being done and say so, that others need not wait for our leases to end."""
        held, self._held = list(self._held.values()), {}
        attempts = [each.attempt for each in held if each.attempt is not None]
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        endings, self._ended = self._ended, []
        ended = {job.id for job, _ in endings}
        endings += [(each.job, GivenBack("its gateway stopped")) for each in held if each.job.id not in ended]
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._work.settle(endings)

"""The lease of this boot: its right to act, renewed all the time, and judged wherever something is about to be done.

The right is counted from before a renewal was asked for, on a clock that runs on while the machine is suspended:
whoever wakes from a freeze finds at once that it may not act. Past the limit the instance pauses, and keeps its
connections; a renewal lets it go on, once it has looked which sessions are still its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from homing.decide.fleet.leases import LeasePolicy, may_act
from homing.model.fleet import InstanceUrl
from homing.model.instances.leases import Ended, IncarnationId, Renewed, StoreIdentity
from homing.model.instances.vault import Holder
from homing.ports import Clock, Leases, StoreUnavailable

log = structlog.get_logger("homing")
T = TypeVar("T")
UNANSWERED_MAX = 16
"""Renewals on their way at once. The oldest is given up for a new one: its answer would be worth little by now."""
END_WITHIN_S = 1.0


class Tenants(Protocol):
    """The sessions whose right to act hangs on the lease."""

    async def review(self) -> None:
        """Leave the sessions that are not this boot's any more. Raises StoreUnavailable."""

    async def redeclare(self) -> None:
        """Say again what this boot holds, and leave what is another's. Raises StoreUnavailable."""

    async def hand_back(self) -> None:
        """Say what this boot held, leave every session, and open again what is this address's. Raises
        StoreUnavailable."""

    def abandon(self) -> None:
        """Leave every session: this boot was declared ended."""

    def pause(self) -> None:
        """Nothing can be done until ``resume``."""

    def resume(self) -> None: ...


class LeaseKeeper:
    """``holder`` is this boot; it is another one after the store declared it ended.

    ``answered_ago_s`` is told with each renewal: since when no gateway's call was answered here.
    """

    def __init__(
        self, leases: Leases, instance_url: str, clock: Clock, *, fresh_id: Callable[[], str], policy: LeasePolicy
    ) -> None:
        self.policy = policy
        self.answered_ago_s: Callable[[], float | None] = lambda: None
        self.holder = Holder(instance_url, fresh_id())
        self._leases = leases
        self._clock = clock
        self._fresh_id = fresh_id
        self._asked_s: float | None = None
        self._revoked = 0
        self._store: StoreIdentity | None = None
        self._renewal = asyncio.Event()
        self._paused = True
        self._unanswered: dict[asyncio.Task[None], None] = {}

    def may_act(self) -> bool:
        """Whether, at this very moment, this boot may act for its sessions."""
        return may_act(self._asked_s, self._clock.monotonic(), self.policy)

    def left_s(self) -> float:
        """How long it may act if no renewal succeeds any more."""
        if self._asked_s is None:
            return 0.0
        return max(0.0, self._asked_s + self.policy.self_fence_s - self._clock.monotonic())

    async def trusted(self) -> None:
        """Returns once this boot may act."""
        while not self.may_act():
            await self._renewal.wait()

    async def run(self, tenants: Tenants) -> None:
        """Take the lease up and hold it until cancelled, under another name whenever this one was declared ended."""
        while True:
            asked_s, begun = await self._answer(lambda: self._leases.begin(self.holder, expiry_s=self.policy.expiry_s))
            if self._store is not None:
                await self._leave(tenants, begun.store)
            self._store, self._revoked = begun.store, begun.revoked
            self._hold(asked_s, tenants)
            await self._until_ended(tenants)
            self._suspend(tenants)
            self.holder = Holder(self.holder.instance_url, self._fresh_id())

    async def end(self) -> None:
        """Say that this boot stops in order; nobody has to wait for its lease to run out."""
        self._asked_s = None
        for task in tuple(self._unanswered):
            task.cancel()
        url, incarnation = InstanceUrl(self.holder.instance_url), IncarnationId(self.holder.incarnation)
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._leases.end(url, Ended.LEFT, incarnation=incarnation)
        except (StoreUnavailable, TimeoutError) as problem:
            log.warning("Lease runs out by itself: the database could not be told of the end", error=str(problem))

    # Holding it

    async def _until_ended(self, tenants: Tenants) -> None:
        while True:
            await self._clock.sleep(self.policy.heartbeat_s if self.may_act() else self.policy.repeat_s)
            self._look(tenants)
            asked_s, renewed = await self._answer(self._renew, tenants)
            if renewed is None:
                return
            try:
                async with asyncio.timeout(self.policy.self_fence_s):
                    await self._take(asked_s, renewed, tenants)
            except (StoreUnavailable, TimeoutError) as problem:
                log.warning("Sessions that are still ours could not be read; trying again", error=str(problem))

    async def _leave(self, tenants: Tenants, store: StoreIdentity) -> None:
        """This boot was declared ended; or the database is another one, which does not know it."""
        if store == self._store:
            log.error("This boot was declared ended; every session is left", next_incarnation=self.holder.incarnation)
            tenants.abandon()
            return
        log.warning("Database is another one, or was restored; every session is told to it, and opened anew")
        while True:
            try:
                await tenants.hand_back()
                return
            except StoreUnavailable as problem:
                log.warning(
                    "Sessions that are held here could not be told to the database; trying again", error=str(problem)
                )
            await self._clock.sleep(self.policy.repeat_s)

    async def _renew(self) -> Renewed | None:
        answered_ago_s = self.answered_ago_s()
        return await self._leases.renew(self.holder, expiry_s=self.policy.expiry_s, answered_ago_s=answered_ago_s)

    async def _take(self, asked_s: float, renewed: Renewed, tenants: Tenants) -> None:
        """Act on, once what may have changed meanwhile is known."""
        if renewed.store != self._store:
            log.warning("Database is another one, or has lost its newest commits; every session is declared again")
            self._suspend(tenants)
            await tenants.redeclare()
        elif renewed.was_lapsed or not self.may_act():
            self._suspend(tenants)
            await tenants.review()
        elif renewed.revoked != self._revoked:
            self._hold(asked_s, tenants)  # the vault itself refuses what is not ours: the others need not wait
            await tenants.review()
        self._store, self._revoked = renewed.store, renewed.revoked
        self._hold(asked_s, tenants)

    def _hold(self, asked_s: float, tenants: Tenants) -> None:
        self._asked_s = asked_s
        if not self.may_act():
            return
        if self._paused:
            self._paused = False
            tenants.resume()
        self._renewal.set()
        self._renewal = asyncio.Event()

    def _suspend(self, tenants: Tenants) -> None:
        self._asked_s = None
        self._look(tenants)

    def _look(self, tenants: Tenants) -> None:
        if not self._paused and not self.may_act():
            self._paused = True
            log.warning("Sessions are paused: this boot does not hold its lease at the moment")
            tenants.pause()

    # Asking

    async def _answer(self, ask: Callable[[], Awaitable[T]], tenants: Tenants | None = None) -> tuple[float, T]:
        """The first answer, and when it was asked for; it is asked again as long as there is none."""
        answer: asyncio.Future[tuple[float, T]] = asyncio.get_running_loop().create_future()
        while not answer.done():
            if len(self._unanswered) >= UNANSWERED_MAX:
                next(iter(self._unanswered)).cancel()
            task = asyncio.get_running_loop().create_task(self._ask(ask, answer))
            self._unanswered[task] = None
            task.add_done_callback(self._unanswered.pop)
            await asyncio.wait([answer], timeout=self.policy.repeat_s)
            if tenants is not None:
                self._look(tenants)
        return answer.result()

    async def _ask(self, ask: Callable[[], Awaitable[T]], answer: "asyncio.Future[tuple[float, T]]") -> None:
        asked_s = self._clock.monotonic()
        try:
            said = await ask()
        except StoreUnavailable as problem:
            log.debug("Lease could not be renewed; asking again", error=str(problem))
            return
        if not answer.done():
            answer.set_result((asked_s, said))

"""Working on lanes: a lane is one account's messages, and one gateway's at a time.

Each step is one transaction: how the last messages ended, and which go next. Only then do their bytes leave. So a
gateway that dies leaves behind either a message that did not leave, or one marked `dispatching`, which whoever takes
the lane over repeats under the same id, or declares unknown where it cannot be repeated.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from homing.decide.outbox.endings import Pause, ending_of, pause_after
from homing.decide.work.attempts import RetryPolicy
from homing.flows.outbox.chat_turns import ChatTurns
from homing.flows.sending.send import Sending
from homing.model.fleet import AccountUuid, Route, WorkspaceId
from homing.model.sends.addresses import Address
from homing.model.sends.history import HandOver
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Advance, Dispatching, LaneClaim, LaneStep, MessageEnding
from homing.model.sends.sending import FailureCode, NotSent, Outcome, Sent
from homing.model.work import Concluded, Job
from homing.ports import (
    AccountChanged,
    Clock,
    Entropy,
    LaneLost,
    Notice,
    Outbox,
    OutboxChanged,
    PlacementChanged,
    Routes,
    StoreUnavailable,
)

log = structlog.get_logger("homing")

KIND = "outbox"
PATIENCE = RetryPolicy(waits_s=(1.0,) * 100_000)
"""A lane is never given up: what waits in it was promised."""
AT_ONCE = 8
"""Messages of one account that are under way at the same time, each in another chat."""
SLICE_S = 5.0
"""So long one lane is worked on while others may wait; then it is their turn."""
GATHER_S = 0.005
"""Those that end within this time are written down together."""
LEAVE_WITHIN_S = 3.0
STORE_PAUSE_S = 1.0
STEPS_AT_ONCE = 4
"""Lanes that write at the same time. The others wait here, and not for a connection to the store: a backlog leaves most
of those to everybody else. What ends meanwhile goes into the same step."""


@dataclass(slots=True, eq=False)
class _Lane:
    """A lane in our hands: what is under way, what ended and is not written down, and whether it rests. `in_doubt`: the
    answer to a step was lost."""

    claim: LaneClaim
    until_s: float
    changed: asyncio.Event
    under_way: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    ended: list[MessageEnding] = field(default_factory=list)
    fresh: bool = True
    in_doubt: bool = False
    failures: int = 0
    paused_until_s: float = 0.0


class Lanes:
    """The handler of the jobs that stand for lanes."""

    def __init__(
        self, outbox: Outbox, sending: Sending, routes: Routes, turns: ChatTurns, clock: Clock, entropy: Entropy
    ) -> None:
        self._outbox, self._sending, self._routes, self._turns = outbox, sending, routes, turns
        self._clock, self._entropy = clock, entropy
        self._lanes: dict[AccountUuid, _Lane] = {}
        self._steps = asyncio.Semaphore(STEPS_AT_ONCE)

    def hear(self, notice: Notice) -> None:
        """What may let a lane go on that waits."""
        match notice:
            case OutboxChanged(account_uuid=account):
                self._rouse(account, pauses=False)
            case PlacementChanged(account_uuid=account):
                self._rouse(account, pauses=True)
            case AccountChanged(account_uuid=changed) if changed is not None:
                self._rouse(changed, pauses=True)
            case _:
                pass

    def _rouse(self, account: AccountUuid, *, pauses: bool) -> None:
        lane = self._lanes.get(account)
        if lane is not None:
            if pauses:
                lane.paused_until_s = 0.0
            lane.changed.set()

    async def work(self, job: Job) -> Concluded:
        """Work on the lane until nothing waits in it, or its turn is over."""
        claim = LaneClaim(job.id, job.fence, AccountUuid(job.payload["account"]), WorkspaceId(job.payload["workspace"]))
        lane = _Lane(claim, self._clock.monotonic() + SLICE_S, asyncio.Event())
        self._lanes[claim.account_uuid] = lane
        try:
            return await self._worked(lane)
        except LaneLost as lost:
            log.warning("A lane of the outbox was taken over", account=claim.account_uuid, reason=str(lost))
            await self._let_go(lane)
            return Concluded()
        except asyncio.CancelledError:
            await self._left(lane)
            raise
        finally:
            if self._lanes.get(claim.account_uuid) is lane:
                del self._lanes[claim.account_uuid]

    async def _worked(self, lane: _Lane) -> Concluded:
        while True:
            lane.changed.clear()
            is_over = self._clock.monotonic() >= lane.until_s
            step = await self._stepped(lane, is_over=is_over)
            if step is None:
                await self._clock.sleep(STORE_PAUSE_S)
                continue
            if step.over:
                return Concluded()
            for message in step.taken:
                self._begin(lane, message)
            await self._rest(lane, None if is_over else step.next_due_s)
            if lane.ended:
                await self._clock.sleep(GATHER_S)

    def _free(self, lane: _Lane, *, is_over: bool) -> int:
        """How many more may go. After a failure that was not a message's own, one at a time finds out."""
        if is_over or self._clock.monotonic() < lane.paused_until_s:
            return 0
        return max(0, (1 if lane.failures else AT_ONCE) - len(lane.under_way))

    async def _stepped(self, lane: _Lane, *, is_over: bool) -> Advance | None:
        """One step; None while the store is away, and then nothing is forgotten. Raises LaneLost."""
        async with self._steps:
            endings, free = list(lane.ended), self._free(lane, is_over=is_over)
            try:
                step = await self._outbox.advance(self._next(lane, endings, free, is_over=is_over))
            except StoreUnavailable as error:
                account = lane.claim.account_uuid
                log.warning("A lane of the outbox waits for the store", account=account, error=str(error))
                lane.in_doubt = True
                return None
        del lane.ended[: len(endings)]
        if free > 0:
            lane.fresh = lane.in_doubt = False
        return step

    def _next(self, lane: _Lane, endings: list[MessageEnding], free: int, *, is_over: bool) -> LaneStep:
        return LaneStep(
            lane.claim,
            endings,
            free=free,
            under_way=len(lane.under_way),
            fresh=lane.fresh,
            in_doubt=lane.in_doubt,
            known=frozenset(lane.under_way) if lane.in_doubt else frozenset(),
            held_for_s=0.0 if is_over else SLICE_S,
            rests_s=max(0.0, lane.paused_until_s - self._clock.monotonic()),
            chance=self._entropy.random(),
        )

    async def _rest(self, lane: _Lane, for_s: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await lane.changed.wait()

    # --- one message ----------------------------------------------------------------------------------------------

    def _begin(self, lane: _Lane, message: Dispatching) -> None:
        self._turns.begin(message.text.account_uuid, message.chat)
        task = asyncio.get_running_loop().create_task(self._send(lane, message))
        lane.under_way[message.text.uuid] = task

    async def _send(self, lane: _Lane, message: Dispatching) -> None:
        text = message.text
        try:
            ending = await self._sent(lane, message)
        finally:
            lane.under_way.pop(text.uuid, None)
            self._turns.end(text.account_uuid, message.chat)
            lane.changed.set()
        lane.ended.append(ending)

    async def _sent(self, lane: _Lane, message: Dispatching) -> MessageEnding:
        """A message that fails in a way of its own takes nobody with it."""
        text, since = message.text, self._clock.now()
        try:
            route, _ = await self._routes.route(text.workspace_id, text.account_uuid, None)
            if route is None:
                reason = "its account does not exist any more"
                return MessageEnding(text.uuid, MessageState.FAILED, "account_not_found", reason)
            if message.typing_s:
                await self._typed(lane, message, route)
            since = self._clock.now()
            outcome: Outcome = await self._sending.send(text, route)
        except StoreUnavailable as error:
            outcome = NotSent(FailureCode.DIRECTORY_UNAVAILABLE, f"the directory is away: {error}", attempts=0)
        except Exception:
            log.exception("A message of the outbox failed inside the gateway", message_uuid=text.uuid)
            reason = "the gateway failed on it, which is in its log; whether it left is not known"
            ending = MessageEnding(text.uuid, MessageState.UNKNOWN, "unknown", reason)
            return replace(ending, given=HandOver(message.interrupted_at or since, self._clock.now()))
        self._note(lane, outcome)
        given = HandOver(message.interrupted_at or since, self._clock.now())
        return replace(ending_of(text, outcome), given=given)

    async def _typed(self, lane: _Lane, message: Dispatching, route: Route) -> None:
        """Somebody types. Ended in the middle, it is known that the message did not leave."""
        text = message.text
        try:
            chat = Address.of(text.recipient_phone)
            await self._sending.signs.type_for(route.placement, chat, message.typing_s)
        except asyncio.CancelledError:
            lane.ended.append(MessageEnding(text.uuid, MessageState.ACCEPTED, None, "it waits for its turn"))
            raise

    def _note(self, lane: _Lane, outcome: Outcome) -> None:
        pause = pause_after(outcome, lane.failures)
        if isinstance(pause, Pause):
            lane.failures += 1
            lane.paused_until_s = self._clock.monotonic() + pause.for_s
        elif isinstance(outcome, Sent):
            lane.failures, lane.paused_until_s = 0, 0.0

    # --- leaving --------------------------------------------------------------------------------------------------

    async def _left(self, lane: _Lane) -> None:
        """We are to stop: what is under way may come to its end, and is written down."""
        if lane.under_way:
            await asyncio.wait(list(lane.under_way.values()), timeout=LEAVE_WITHIN_S)
        await self._let_go(lane)
        if not lane.ended:
            return
        with suppress(LaneLost, StoreUnavailable):
            async with self._steps:
                await self._outbox.advance(LaneStep(lane.claim, list(lane.ended), free=0, leaving=True))

    async def _let_go(self, lane: _Lane) -> None:
        """What is still under way may have left: whoever has the lane next knows by its mark."""
        tasks = list(lane.under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def under_way(self) -> Mapping[AccountUuid, int]:
        """How many messages of each account are being sent from here."""
        return {account: len(lane.under_way) for account, lane in self._lanes.items()}

"""Sends with an `Idempotency-Key`: said once, answered the same for a day, whichever gateway is asked.

The key's row is claimed before the first attempt, under a lease that this gateway renews while it drives the send. If
the gateway dies, the lease ends, and whoever is asked next drives on under the same message id.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

import msgspec
import structlog

from homing.decide.sending import idempotency
from homing.decide.sending.idempotency import Admission, Drive, InFlight, Mismatch, Replay
from homing.flows.sending.patience import Patience
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.sends.messages import Claimed, InUse, StoredAnswer
from homing.model.sends.sending import NotSent, Outcome
from homing.ports import Clock, Messages, StoreUnavailable

log = structlog.get_logger("homing")

LEASE_S = 5.0
CLAIM_WITHIN_S = 1.5
"""How long a client waits until it is known whether its key is new. Nothing was sent by then."""
RENEW_EVERY_S = 1.5
FORGET_EVERY_S = 60.0


@dataclass(slots=True)
class _Here:
    """The requests with one key that are here at the same time, and the uuid and fingerprint of the one driven."""

    requests: int = 0
    driven: tuple[str, str] | None = None


class HeldKey(msgspec.Struct, frozen=True):
    """A key that is ours for one send, until `KeyedSends.leave`."""

    workspace_id: WorkspaceId
    key: str
    admission: Drive


class KeyedSends:
    """Admits requests by their key and keeps the leases of those being driven."""

    def __init__(self, messages: Messages, clock: Clock, *, owner: str, keep_s: float) -> None:
        self._messages, self._clock, self._owner, self._keep_s = messages, clock, owner, keep_s
        self._driving: set[tuple[WorkspaceId, str]] = set()
        self._claiming: dict[object, float] = {}
        self._claiming_of: Counter[WorkspaceId] = Counter()
        self._here: dict[tuple[WorkspaceId, str], _Here] = {}
        self._letting_go: set[asyncio.Task[None]] = set()
        self._patience = Patience(CLAIM_WITHIN_S)

    async def begin(
        self, workspace: WorkspaceId, key: str, fingerprint: str, message_uuid: str
    ) -> HeldKey | StoredAnswer | InFlight | Mismatch:
        """The key for one send, by one gateway at a time; or the answer that it was given before.

        Raises StoreUnavailable, and Problem while so many wait for the store that nobody would be served in time.
        """
        here = self._here.setdefault((workspace, key), _Here())
        here.requests += 1
        held = None
        try:
            admission = await self._admitted(workspace, key, fingerprint, message_uuid, here)
            match admission:
                case Drive():
                    here.driven = (admission.message_uuid, fingerprint)
                    self._driving.add((workspace, key))
                    held = HeldKey(workspace, key, admission)
                    return held
                case Replay():
                    return await self._replayed(workspace, admission)
                case InFlight() | Mismatch():
                    return admission
                case _:
                    assert_never(admission)
        finally:
            if held is None:
                self._one_less(workspace, key)

    async def settle(self, held: HeldKey, outcome: Outcome, answer: StoredAnswer) -> None:
        """Store what must be said again; forget what may be tried again. Failing here costs a lease, not the answer."""
        try:
            if isinstance(outcome, NotSent):
                uuid = held.admission.message_uuid
                await self._messages.release_key(held.workspace_id, held.key, self._owner, uuid)
            elif not await self._messages.answer_key(held.workspace_id, held.key, self._owner, answer):
                log.warning("An idempotency key was taken over while we drove it", key=held.key)
        except StoreUnavailable as error:
            log.error("The answer for an idempotency key could not be stored", key=held.key, error=str(error))

    async def give_back(self, held: HeldKey) -> None:
        """Nothing was sent under it from here. One that was taken over stays: somebody may have sent it before."""
        if not held.admission.repeated:
            await self._released(held.workspace_id, held.key, held.admission.message_uuid)

    def leave(self, held: HeldKey) -> None:
        """The send is over, however it ended."""
        self._driving.discard((held.workspace_id, held.key))
        self._one_less(held.workspace_id, held.key)

    def _one_less(self, workspace: WorkspaceId, key: str) -> None:
        here = self._here[workspace, key]
        here.requests -= 1
        if not here.requests:
            del self._here[workspace, key]

    async def _replayed(self, workspace: WorkspaceId, replay: Replay) -> StoredAnswer:
        """The stored answer; of one that was unknown, what its message's record says by now, if that can be read."""
        if not replay.is_open:
            return replay.answer
        try:
            async with asyncio.timeout(CLAIM_WITHIN_S):
                record = await self._messages.message(workspace, replay.message_uuid)
        except (StoreUnavailable, TimeoutError):
            return replay.answer
        return idempotency.settled(replay.answer, record)

    async def _admitted(
        self, workspace: WorkspaceId, key: str, fingerprint: str, message_uuid: str, here: "_Here"
    ) -> Admission:
        try:
            found = await self._claimed(workspace, key, fingerprint, message_uuid)
        except (StoreUnavailable, Problem):
            if here.driven is None:
                raise
            # A request that came twice: that the other one sends, or has sent, is known without the store.
            driven_uuid, driven_fingerprint = here.driven
            return InFlight(driven_uuid) if driven_fingerprint == fingerprint else Mismatch(driven_uuid)
        return idempotency.admit(found, fingerprint)

    async def _claimed(self, workspace: WorkspaceId, key: str, fingerprint: str, message_uuid: str) -> Claimed | InUse:
        self._see_that_it_is_worth_waiting(workspace)
        place = object()
        self._claiming[place] = self._clock.monotonic()
        self._claiming_of[workspace] += 1
        try:
            claim = self._messages.claim_key(
                workspace,
                key,
                fingerprint=fingerprint,
                message_uuid=message_uuid,
                owner=self._owner,
                lease_s=LEASE_S,
                keep_s=self._keep_s,
            )
            return await self._patience.wait(claim)
        except TimeoutError as error:
            self._let_go(workspace, key, message_uuid)
            raise StoreUnavailable(f"it did not answer within {CLAIM_WITHIN_S:g} s") from error
        except asyncio.CancelledError:
            self._let_go(workspace, key, message_uuid)
            raise
        finally:
            del self._claiming[place]
            self._claiming_of[workspace] -= 1
            if not self._claiming_of[workspace]:
                del self._claiming_of[workspace]

    def _see_that_it_is_worth_waiting(self, workspace: WorkspaceId) -> None:
        now_s = self._clock.monotonic()
        first_s = next(iter(self._claiming.values()), now_s)
        hopeless = idempotency.hopeless(len(self._claiming), self._claiming_of[workspace], now_s - first_s)
        if hopeless is not None:
            raise Problem(Code.OVERLOADED, hopeless, retry_after_s=2)

    def _let_go(self, workspace: WorkspaceId, key: str, message_uuid: str) -> None:
        """The store may have given us the key without our hearing of it: nobody should wait for that lease to end.

        One that was taken over goes on naming its first message, and stays: that somebody may have sent it already is
        not to be forgotten.
        """
        letting_go = asyncio.get_running_loop().create_task(self._released(workspace, key, message_uuid))
        self._letting_go.add(letting_go)
        letting_go.add_done_callback(self._letting_go.discard)

    async def _released(self, workspace: WorkspaceId, key: str, message_uuid: str) -> None:
        with suppress(StoreUnavailable):
            await self._messages.release_key(workspace, key, self._owner, message_uuid)

    async def run(self) -> None:
        """Renew the leases of the sends that take long, and now and then forget old keys, until cancelled."""
        forgot_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(RENEW_EVERY_S)
            try:
                if self._driving:
                    await self._messages.renew_keys(self._owner, list(self._driving), LEASE_S)
                if self._clock.monotonic() - forgot_s >= FORGET_EVERY_S:
                    forgot_s = self._clock.monotonic()
                    await self._messages.forget_expired_keys()
            except StoreUnavailable as error:
                log.warning("Leases of idempotency keys could not be renewed", error=str(error))

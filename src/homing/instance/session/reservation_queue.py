"""One session's messages before they leave: each is sealed, and the grant's own in the vault, in the order of asking.

Where the vault did not answer, it may have the messages or not. They stay at the head of the line, and it is asked for
them again until that is known; nothing overtakes them, and nothing new is taken in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from homing.instance.engine import FrameRefused, Message, SealRefused
from homing.instance.notify.events import Status
from homing.instance.policy import HostPolicy
from homing.instance.session.messages import EngineUnknown, NotConnected, Paused, SendOutcome, UnderWay, VaultAway
from homing.model.instances.vault import Grant, Reservation, StaleEpoch, Unsent
from homing.ports import StoreUnavailable

log = structlog.get_logger("homing")
OnReserved = Callable[[Sequence[tuple[UnderWay, Reservation]]], None]
OnRefused = Callable[[UnderWay, SendOutcome], None]
Seal = Callable[[Message], Awaitable[bytes]]
Reserve = Callable[[Grant, Sequence[Unsent]], Awaitable[Sequence[Reservation] | StaleEpoch]]
IN_DOUBT = "the vault did not say whether it has the message, outcome unknown"


class Line:
    """``reserved`` is given what the vault has, in order; ``refused`` what will not leave, and why.

    ``seal`` is that of the connection; None while there is none.
    """

    def __init__(
        self,
        reserve: Reserve,
        grant: Grant,
        policy: HostPolicy,
        *,
        may_act: Callable[[], bool],
        reserved: OnReserved,
        refused: OnRefused,
        superseded: Callable[[int], None],
    ) -> None:
        self._ask = reserve
        self.seal: Seal | None = None
        self._grant = grant
        self._policy = policy
        self._may_act = may_act
        self._reserved = reserved
        self._refused = refused
        self._superseded = superseded
        self._waiting: list[UnderWay] = []
        self._away: VaultAway | None = None
        self._over: str | None = None
        self._working: asyncio.Task[None] | None = None

    @property
    def away(self) -> VaultAway | None:
        """Why nothing new can be taken in: it is not known what the vault has."""
        return self._away

    def add(self, under_way: UnderWay) -> None:
        self._waiting.append(under_way)
        if self._working is None or self._working.done():
            self._working = asyncio.get_running_loop().create_task(self._work_off())

    def turn_back(self, why: SendOutcome) -> None:
        """Those that the vault was not asked for yet will not leave."""
        everyone, self._waiting = self._waiting, [each for each in self._waiting if each.asked]
        for each in everyone:
            if not each.asked:
                self._refused(each, why)

    def end(self, reason: str) -> None:
        """Ask no more. What the vault is being asked for right now still gets its own answer."""
        self._over = reason

    async def _work_off(self) -> None:
        while self._waiting and self._over is None:
            group = [each for each in self._waiting if each.asked] or self._waiting[: self._policy.reserved_at_once]
            if not self._may_act():
                if not group[0].asked:
                    self.turn_back(Paused())
                    return
                await asyncio.sleep(self._policy.ask_again_s)
                continue
            if await self._all_sealed(group):
                await self._reserve(group)
        if self._over is not None:
            self._forget_asked(EngineUnknown(f"{self._over}, outcome unknown"))

    async def _all_sealed(self, group: Sequence[UnderWay]) -> bool:
        """Whether the whole group is, and may still be asked for: what happened meanwhile may have thinned it out."""
        for each in group:
            if each.sealed is None and not await self._sealed(each):
                return False
        return self._may_act() and self._over is None and self._waiting[: len(group)] == list(group)

    async def _sealed(self, under_way: UnderWay) -> bool:
        seal, why = self.seal, NotConnected(Status.DISCONNECTED)
        if seal is None:
            self._take_out(under_way, why)
            return False
        try:
            async with asyncio.timeout(self._policy.seal_within_s):
                under_way.sealed = await seal(under_way.message)
        except SealRefused as refused:
            self._take_out(under_way, FrameRefused(0, refused.reason, refused.code))
        except (ConnectionError, TimeoutError):
            self._take_out(under_way, why)
        return under_way.sealed is not None

    def _take_out(self, under_way: UnderWay, why: SendOutcome) -> None:
        """It will not leave: the vault was never asked for it."""
        if under_way in self._waiting:
            self._waiting.remove(under_way)
            self._refused(under_way, why)

    async def _reserve(self, group: Sequence[UnderWay]) -> None:
        for each in group:
            each.asked = True
        try:
            answer = await self._ask(self._grant, [_unsent(each) for each in group])
        except StoreUnavailable as problem:
            await self._doubt(problem)
            return
        except Exception as problem:
            log.exception("Vault failed; messages on their way are in doubt", session_id=self._grant.session_id)
            await self._doubt(problem)  # whatever went wrong, a line that stood still for ever would be worse
            return
        if isinstance(answer, StaleEpoch):
            self._refuse_all(answer)
            return
        self._away = None
        past = max(reservation.counter for reservation in answer)
        self._grant = replace(self._grant, next_counter=max(self._grant.next_counter, past + 1))
        del self._waiting[: len(group)]
        self._reserved(list(zip(group, answer, strict=True)))

    async def _doubt(self, problem: Exception) -> None:
        self._away = VaultAway(f"the vault does not answer: {problem}")
        self.turn_back(self._away)
        await asyncio.sleep(self._policy.ask_again_s)

    def _refuse_all(self, stale: StaleEpoch) -> None:
        """Nothing of this was reserved, unless the vault had it already and could not say so."""
        behind = VaultAway("the vault has lost its newest commits")
        outcome: SendOutcome = behind if stale.current < self._grant.epoch else stale
        self._forget_asked(outcome if self._away is None else EngineUnknown(IN_DOUBT))
        self.turn_back(outcome)
        self._away = None
        self._superseded(stale.current)

    def _forget_asked(self, outcome: SendOutcome) -> None:
        asked, self._waiting = self._waiting, [each for each in self._waiting if not each.asked]
        for each in asked:
            if each.asked:
                self._refused(each, outcome)


def _unsent(under_way: UnderWay) -> Unsent:
    assert under_way.sealed is not None, "what is asked for was sealed before"
    return Unsent(under_way.message.message_id, under_way.sealed)

"""Asking gateways whether numbers are on WhatsApp, and under which address. What they said is good for a day; that
nobody has a number for an hour: people come, and some gateways say so as well when they could not ask.

Before a send only numbers with two spellings are asked about, of the session's own gateway. A check that fails costs a
message nothing but its time: it goes to the number that was written.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

import structlog

from homing.decide.phones import spellings
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceMode, InstanceUrl, SessionId
from homing.model.sends.calls import NumberChecked
from homing.model.sends.faults import Fault, Phase
from homing.ports import Clock, Fleet, StoreUnavailable
from homing.ports.sends.numbers import CheckedNumbers

GOOD_FOR_S: Final = 86_400.0
NOBODY_FOR_S: Final = 3_600.0
BEFORE_A_SEND_S: Final = 2.0
"""How long a message waits for the check of its recipient."""
RESTS_S: Final = 60.0
"""For how long no message waits for an instance whose check failed."""
PACE_S: Final = 0.1
"""Between two numbers of a batch: WhatsApp shuts out who asks about many at once."""
KEPT_WITHIN_S: Final = 0.5
"""How long a message waits for what the store remembers; without that the gateway is asked."""
ONE_WITHIN_S: Final = 5.0
BATCH_WITHIN_S: Final = 30.0
REMEMBERED: Final = 50_000
_INSTANCES: Final = 10_000

log = structlog.get_logger("homing")


class NumberChecks:
    """The gateways' words on numbers, remembered by the session that asked: here, and in the store for all others."""

    def __init__(self, fleet: Fleet, clock: Clock, kept: CheckedNumbers | None = None) -> None:
        self._fleet, self._clock, self._kept = fleet, clock, kept
        self._known: dict[tuple[SessionId, str], tuple[NumberChecked, float]] = {}
        self._rests_until_s: dict[InstanceUrl, float] = {}
        self._batches: WeakValueDictionary[SessionId, asyncio.Lock] = WeakValueDictionary()

    async def recipient(self, session_id: SessionId, url: InstanceUrl, written: str) -> str:
        """Where a message to a number with two spellings goes. Takes `BEFORE_A_SEND_S` at most."""
        if self._clock.monotonic() < self._rests_until_s.get(url, 0.0):
            return written
        until_s = self._clock.monotonic() + BEFORE_A_SEND_S
        can = await self._fleet.capabilities(url, timeout_s=BEFORE_A_SEND_S)
        if isinstance(can, Fault):
            self._rest(url)
            return written
        if not can.check_numbers or can.choose_message_id:
            # Whoever takes our ids is told a message again, which is harmless to the very same address alone.
            return written
        for asked in spellings.spellings(written):
            left = self._clock.monotonic() < until_s
            checked = await self._checked(session_id, url, asked, until_s) if left else None
            if checked is None or isinstance(checked, Fault):
                self._rest(url)
                log.info("A number could not be checked; it is sent to as written", url=url, reason=str(checked))
                return written
            if checked.exists:
                return spellings.goes_to(written, asked, checked, can.reaches)
        return written

    async def batch(self, account: Account, numbers: Sequence[str]) -> list[NumberChecked | Fault]:
        """Each number's own answer, in order, asked for one after the other. Raises Problem where nobody can be asked.

        What its turn did not come to within `BATCH_WITHIN_S` is a Fault; asked again, the rest is remembered.
        """
        url = await self._asked_at(account)
        alone = self._batches.setdefault(account.session_id, asyncio.Lock())
        until_s = self._clock.monotonic() + BATCH_WITHIN_S
        async with alone:
            return [await self._in_turn(account.session_id, url, digits, until_s) for digits in numbers]

    async def _in_turn(
        self, session_id: SessionId, url: InstanceUrl, digits: str, until_s: float
    ) -> NumberChecked | Fault:
        known = await self._remembered(session_id, digits, KEPT_WITHIN_S)
        if known is not None:
            return known
        now_s = self._clock.monotonic()
        if now_s >= until_s:
            return Fault(Phase.NOT_ATTEMPTED, f"its turn did not come within {BATCH_WITHIN_S:g} s; ask for it again")
        checked = await self._asked(session_id, url, digits, min(now_s + ONE_WITHIN_S, until_s))
        await self._clock.sleep(PACE_S)
        return checked

    async def _asked_at(self, account: Account) -> InstanceUrl:
        """The instance that can be asked. Raises Problem."""
        url = account.placement.instance_url
        instance = self._fleet.roster.instances.get(url) if url is not None else None
        if url is None or instance is None:
            detail = f"Account {account.uuid} is on no instance of ours that could be asked; start it first"
            raise Problem(Code.ACCOUNT_NOT_PLACED, detail)
        if instance.mode is InstanceMode.OBSERVE:
            detail = f"{url} is only observed; `homing instances set {url} --mode route` lets it be asked"
            raise Problem(Code.INSTANCE_OBSERVED, detail)
        can = await self._fleet.capabilities(url, timeout_s=ONE_WITHIN_S)
        if isinstance(can, Fault):
            raise Problem(Code.INSTANCE_FAULT, f"{url} did not say what it can: {can}", retry_after_s=5)
        if not can.check_numbers:
            detail = f"{url} ({instance.driver}) has no call that tells whether a number is on WhatsApp"
            raise Problem(Code.UNSUPPORTED_CHECK, detail)
        return url

    async def _checked(
        self, session_id: SessionId, url: InstanceUrl, digits: str, until_s: float
    ) -> NumberChecked | Fault:
        known = await self._remembered(session_id, digits, until_s - self._clock.monotonic())
        return known if known is not None else await self._asked(session_id, url, digits, until_s)

    async def _asked(
        self, session_id: SessionId, url: InstanceUrl, digits: str, until_s: float
    ) -> NumberChecked | Fault:
        left_s = max(0.0, until_s - self._clock.monotonic())
        checked = await self._fleet.driver(url).check_number(url, session_id, digits, timeout_s=left_s)
        if isinstance(checked, NumberChecked):
            self._remember(session_id, digits, checked)
            await self._keep(session_id, digits, checked, until_s - self._clock.monotonic())
        return checked

    async def _remembered(self, session_id: SessionId, digits: str, within_s: float) -> NumberChecked | None:
        known = self._known.get((session_id, digits))
        if known is not None and self._clock.monotonic() < known[1]:
            return known[0]
        if self._kept is None:
            return None
        try:
            async with asyncio.timeout(min(KEPT_WITHIN_S, within_s)):
                kept = (await self._kept.of(session_id, [digits])).get(digits)
        except (StoreUnavailable, TimeoutError):
            return None
        if kept is not None:
            self._remember(session_id, digits, kept)
        return kept

    async def _keep(self, session_id: SessionId, digits: str, checked: NumberChecked, within_s: float) -> None:
        if self._kept is None:
            return
        try:
            async with asyncio.timeout(min(KEPT_WITHIN_S, within_s)):
                await self._kept.remember(session_id, digits, checked, good_for_s=_good_for_s(checked))
        except (StoreUnavailable, TimeoutError) as error:
            log.debug("What a gateway said of a number is remembered by this process alone", reason=str(error))

    def _remember(self, session_id: SessionId, digits: str, checked: NumberChecked) -> None:
        self._known.pop((session_id, digits), None)
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[session_id, digits] = checked, self._clock.monotonic() + _good_for_s(checked)

    def _rest(self, url: InstanceUrl) -> None:
        if len(self._rests_until_s) >= _INSTANCES:
            self._rests_until_s.clear()
        self._rests_until_s[url] = self._clock.monotonic() + RESTS_S


def _good_for_s(checked: NumberChecked) -> float:
    return GOOD_FOR_S if checked.exists else NOBODY_FOR_S

"""Showing signs to chats: that messages were read, that somebody types. None of them is repeated."""

from typing import assert_never

import structlog

from homing.model.errors import Code, Problem
from homing.model.fleet import Account, Capabilities, InstanceMode, InstanceUrl, Placement, SessionId
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign
from homing.ports import Clock, Fleet

log = structlog.get_logger("homing")
WITHIN_S = 5.0
TYPES_AT_MOST_S = 25.0
"""WhatsApp shows somebody typing for no longer."""


class Signs:
    """Shows them through the session's own instance."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet, self._clock = fleet, clock

    async def show(self, account: Account, sign: ChatSign) -> None:
        """Raises Problem where its gateway cannot, or did not."""
        url = self._placed_on(account)
        can = await self._fleet.capabilities(url, timeout_s=WITHIN_S)
        if isinstance(can, Fault):
            raise Problem(Code.INSTANCE_FAULT, f"{url} did not say what it can: {can}", retry_after_s=5)
        self._check(url, can, sign)
        fault = await self._fleet.driver(url).show(url, account.session_id, sign, timeout_s=_within_s(sign))
        if fault is not None:
            raise Problem(Code.INSTANCE_FAULT, f"{url} did not show it: {fault}", retry_after_s=5)

    async def type_for(self, placement: Placement, chat: Address, for_s: float) -> None:
        """Show that somebody types, and wait as long, before a message. Where it cannot be shown nothing waits."""
        url = placement.instance_url
        if url is None or url not in self._fleet.roster.instances:
            return
        can = await self._fleet.capabilities(url, timeout_s=WITHIN_S)
        if isinstance(can, Fault) or not can.show_typing:
            return
        began_s = self._clock.monotonic()
        await self._shown(url, placement.session_id, TypingSign(chat, for_s))
        await self._clock.sleep(max(0.0, for_s - (self._clock.monotonic() - began_s)))

    async def _shown(self, url: InstanceUrl, session_id: SessionId, sign: TypingSign) -> None:
        fault = await self._fleet.driver(url).show(url, session_id, sign, timeout_s=_within_s(sign))
        if fault is not None:
            log.info(
                "That somebody types could not be shown; its message goes all the same", url=url, reason=str(fault)
            )

    def _placed_on(self, account: Account) -> InstanceUrl:
        url = account.placement.instance_url
        instance = self._fleet.roster.instances.get(url) if url is not None else None
        if url is None or instance is None:
            detail = f"Account {account.uuid} is on no instance of ours; start it first"
            raise Problem(Code.ACCOUNT_NOT_PLACED, detail)
        if instance.mode is InstanceMode.OBSERVE:
            detail = f"{url} is only observed; `homing instances set {url} --mode route` lets it be told"
            raise Problem(Code.INSTANCE_OBSERVED, detail)
        return url

    def _check(self, url: InstanceUrl, can: Capabilities, sign: ChatSign) -> None:
        driver = self._fleet.roster.instances[url].driver
        match sign:
            case ReadSign():
                able, what = can.mark_read, "shows to a chat that messages were read"
            case TypingSign():
                able, what = can.show_typing, "shows to a chat that somebody types"
            case _:
                assert_never(sign)
        if not able:
            others = [word for word, has in (("mark-read", can.mark_read), ("typing", can.show_typing)) if has]
            detail = f"{url} ({driver}) has no call that {what}; of signs it knows {', '.join(others) or 'none'}"
            raise Problem(Code.UNSUPPORTED_TYPE, detail)
        if sign.chat.kind not in can.reaches:
            reached = ", ".join(sorted(kind.value for kind in can.reaches))
            detail = f"{url} ({driver}) does not reach a {sign.chat.kind.value}; it reaches {reached}"
            raise Problem(Code.UNSUPPORTED_RECIPIENT, detail, field="phone")


def _within_s(sign: ChatSign) -> float:
    """Some gateways answer when the typing is over."""
    return WITHIN_S + (sign.for_s if isinstance(sign, TypingSign) else 0.0)

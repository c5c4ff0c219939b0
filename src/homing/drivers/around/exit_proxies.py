"""A driver that tells every start by which proxy the session goes out, and starts nothing that it could not tell.

Whoever starts a session does not know of proxies: here is the one place through which all starts go. What has a proxy
and cannot be given it stays closed, since out by the bare address it would be seen once too often.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from homing.model.fleet import InstanceUrl, ListedSession, Listing, SessionId
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.signs import ChatSign
from homing.model.sessions.exit_proxies import ExitProxy
from homing.ports import (
    Driver,
    InstanceHealth,
    NumberChecked,
    PairingCode,
    SessionStart,
    StoreUnavailable,
)
from homing.ports.sessions.exit_proxies import KnowsExitProxies

_ASK_WITHIN_S = 2.0


class KnownExitProxies:
    """Where proxies are asked for, once somebody has said where that is; before that nobody has one."""

    def __init__(self) -> None:
        self.asked: KnowsExitProxies | None = None

    async def of(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, ExitProxy | str]:
        """Raises StoreUnavailable."""
        return await self.asked.of(sessions) if self.asked is not None else {}


class ExitingDriver:
    """`ports.Driver` around another one."""

    def __init__(self, inner: Driver, traits: Traits, proxies: KnownExitProxies) -> None:
        self._inner, self._traits, self._proxies = inner, traits, proxies
        self.family, self.base = inner.family, inner.base
        self.send = inner.send  # messages have nothing to do with it
        self.webhooks = getattr(inner, "webhooks", None)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        return await self._inner.health(instance, timeout_s=timeout_s)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        return await self._inner.sessions(instance, timeout_s=timeout_s)

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        return await self._inner.session(instance, session_id, timeout_s=timeout_s)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        told = (await self._told(instance, [session]))[0]
        return told if isinstance(told, Fault) else await self._inner.start(instance, told, timeout_s=timeout_s)

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        told = dict(zip([each.session_id for each in sessions], await self._told(instance, sessions), strict=True))
        kept = {session: fault for session, fault in told.items() if isinstance(fault, Fault)}
        going = [start for start in told.values() if not isinstance(start, Fault)]
        if not going:
            return kept
        answers = await self._inner.start_many(instance, going, timeout_s=timeout_s)
        if not kept:
            return answers
        if isinstance(answers, Fault):
            return {**{each.session_id: answers for each in going}, **kept}
        return {**answers, **kept}

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._inner.stop(instance, session, timeout_s=timeout_s)

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        told = (await self._told(instance, [session]))[0]
        return told if isinstance(told, Fault) else await self._inner.restart(instance, told, timeout_s=timeout_s)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._inner.logout(instance, session, timeout_s=timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        return await self._inner.pairing(instance, session, timeout_s=timeout_s)

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        """Some families connect or restart a session for that."""
        told = (await self._told(instance, [session]))[0]
        return told if isinstance(told, Fault) else await self._inner.renew_pairing(instance, told, timeout_s=timeout_s)

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        return await self._inner.check_number(instance, session_id, digits, timeout_s=timeout_s)

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        return await self._inner.show(instance, session_id, sign, timeout_s=timeout_s)

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        return await self._inner.history(instance, session_id, chat, timeout_s=timeout_s)

    def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AbstractAsyncContextManager[FileStream | Fault]:
        return self._inner.file(instance, session_id, file, most_bytes=most_bytes, timeout_s=timeout_s)

    async def _told(self, instance: InstanceUrl, starts: Sequence[SessionStart]) -> list[SessionStart | Fault]:
        """Each with its proxy; a Fault for one that must not be started."""
        try:
            known = await self._proxies.of([each.session_id for each in starts])
        except StoreUnavailable as error:
            detail = f"by which proxy it goes out could not be read: {error}; nothing was sent"
            return [Fault(Phase.NOT_ATTEMPTED, detail) for _ in starts]
        can = await self._takes(instance) if known else True
        if isinstance(can, Fault):
            return [can if each.session_id in known else each for each in starts]
        return [self._one(each, known.get(each.session_id), takes=can) for each in starts]

    async def _takes(self, instance: InstanceUrl) -> bool | Fault:
        """Whether its sessions go out by proxies: as its whole family says, else as it says of itself."""
        if self._inner.base.takes_proxy:
            return True
        health = await self._inner.health(instance, timeout_s=_ASK_WITHIN_S)
        if isinstance(health, Fault):
            return replace(health, detail=f"whether it takes proxies is not known: {health.detail}; nothing was sent")
        return health.capabilities.takes_proxy

    def _one(self, start: SessionStart, proxy: ExitProxy | str | None, *, takes: bool) -> SessionStart | Fault:
        if proxy is None:
            return start
        if isinstance(proxy, str):
            return Fault(Phase.REQUEST_REJECTED, f"{proxy}; it is not started without it")
        if not takes:
            detail = f"its account goes out by {proxy.shown}, and {self._traits.title} takes no proxy of a session"
            return Fault(Phase.REQUEST_REJECTED, f"{detail}; it is not started without it")
        return replace(start, proxy=proxy)

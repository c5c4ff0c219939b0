"""A driver for an instance that is only observed: it looks, and does nothing else, whoever asks for it."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from homing.model.fleet import InstanceUrl, ListedSession, Listing, SessionId
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.ports import Driver, InstanceHealth, PairingCode, SessionStart


class ObservedDriver:
    """`ports.Driver` that reads and answers everything else with a Fault, before anything is sent."""

    def __init__(self, inner: Driver) -> None:
        self._inner = inner
        self.family, self.base = inner.family, inner.base

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        return await self._inner.health(instance, timeout_s=timeout_s)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        return await self._inner.sessions(instance, timeout_s=timeout_s)

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        return await self._inner.session(instance, session_id, timeout_s=timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        return await self._inner.pairing(instance, session, timeout_s=timeout_s)

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        return await self._inner.history(instance, session_id, chat, timeout_s=timeout_s)

    def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AbstractAsyncContextManager[FileStream | Fault]:
        return self._inner.file(instance, session_id, file, most_bytes=most_bytes, timeout_s=timeout_s)

    async def _refuse(self, instance: InstanceUrl, *_: Any, **__: Any) -> Fault:
        return Fault(Phase.PATH_NOT_FOUND, f"nothing was sent to it: {instance} is only observed")

    send = start = start_many = stop = restart = logout = renew_pairing = check_number = show = _refuse

"""A driver that says of each call that it is made, and to whom."""

from collections.abc import Mapping, Sequence

from homing.model.faults import Fault
from homing.model.fleet import InstanceUrl, ListedSession, Listing, SessionId
from homing.model.sending import Receipt
from homing.ports import Driver, InstanceHealth, Meters, OutgoingText, PairingCode, SessionStart


class MeteredDriver:
    """`ports.Driver` around another one."""

    def __init__(self, inner: Driver, meters: Meters) -> None:
        self._inner, self._meters = inner, meters
        self.family, self.base = inner.family, inner.base

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        self._meters.instance_called(instance, "health")
        return await self._inner.health(instance, timeout_s=timeout_s)

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        self._meters.instance_called(instance, "list")
        return await self._inner.sessions(instance, timeout_s=timeout_s)

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        self._meters.instance_called(instance, "status")
        return await self._inner.session(instance, session_id, timeout_s=timeout_s)

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        self._meters.instance_called(instance, "send")
        return await self._inner.send(instance, message, timeout_s=timeout_s)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        self._meters.instance_called(instance, "start")
        return await self._inner.start(instance, session, timeout_s=timeout_s)

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        self._meters.instance_called(instance, "start")
        return await self._inner.start_many(instance, sessions, timeout_s=timeout_s)

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        self._meters.instance_called(instance, "stop")
        return await self._inner.stop(instance, session, timeout_s=timeout_s)

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        self._meters.instance_called(instance, "restart")
        return await self._inner.restart(instance, session, timeout_s=timeout_s)

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        self._meters.instance_called(instance, "logout")
        return await self._inner.logout(instance, session, timeout_s=timeout_s)

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        self._meters.instance_called(instance, "pairing")
        return await self._inner.pairing(instance, session, timeout_s=timeout_s)

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        self._meters.instance_called(instance, "renew_pairing")
        return await self._inner.renew_pairing(instance, session, timeout_s=timeout_s)

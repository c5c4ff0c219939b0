"""A driver whose calls are counted, by whom they are made to, and go in the lane that is for them.

A driver returns what fails and raises nothing. One that raises all the same (somebody else's, perhaps) fails that one
call: else the check of the whole fleet would end with it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import structlog

from homing.drivers.around.keys import ShownKeys
from homing.drivers.around.spans import call_told
from homing.drivers.http.lanes import NOBODY, Lane, enter, in_lane, leave
from homing.model.fleet import InstanceUrl, ListedSession, Listing, NoList, SessionId
from homing.model.sends.addresses import Address
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign
from homing.ports import Driver, InstanceHealth, Meters, NumberChecked, OutgoingText, PairingCode, SessionStart
from homing.ports.instances.reports import WebhookCalls

log = structlog.get_logger("homing")

T = TypeVar("T")
_LANES = {"health": Lane.HEALTH, "list": Lane.LISTS}


class MeteredDriver:
    """`ports.Driver` around another one."""

    def __init__(self, inner: Driver, meters: Meters, keys: ShownKeys | None = None) -> None:
        self._inner, self._meters, self._keys = inner, meters, keys
        self.family, self.base = inner.family, inner.base
        self.webhooks: WebhookCalls | None = getattr(inner, "webhooks", None)

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault:
        return await self._made(instance, "health", lambda: self._inner.health(instance, timeout_s=timeout_s))

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        answer = await self._made(instance, "list", lambda: self._inner.sessions(instance, timeout_s=timeout_s))
        return NoList(instance, str(answer), answer) if isinstance(answer, Fault) else answer

    async def session(self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession | Fault:
        return await self._made(
            instance, "status", lambda: self._inner.session(instance, session_id, timeout_s=timeout_s)
        )

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if self._meters.spans is None:
            answer = await self._handed_over(instance, message, timeout_s)
        else:
            with call_told(self._meters.spans, instance, self.family, "send") as told:
                answer = await self._handed_over(instance, message, timeout_s)
                told.met = _met(answer)
        phase = answer.phase if type(answer) is Fault else None
        if phase is Phase.NOT_ATTEMPTED:
            self._meters.call_not_made(instance, "send")
        self._meters.sent_through(self.family, phase, loop.time() - began_s)
        return answer

    async def _handed_over(self, instance: InstanceUrl, message: OutgoingText, timeout_s: float) -> Receipt | Fault:
        before = enter((Lane.SENDS, message.session_id))
        try:
            self._meters.instance_called(instance, "send")
            answer = await self._inner.send(instance, message, timeout_s=timeout_s)
            if type(answer) is Fault and self._may_be_repeated(instance, answer):
                self._meters.instance_called(instance, "send")
                answer = await self._inner.send(instance, message, timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001
            answer = self._raised(instance, "send", error)
        finally:
            leave(before)
        return answer

    def _may_be_repeated(self, instance: InstanceUrl, met: object) -> bool:
        """Whoever refuses one key has done nothing yet, and is shown the other if it has two."""
        return _met(met) is Phase.UNAUTHORISED and self._keys is not None and self._keys.refused(instance)

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        return await self._made(instance, "start", lambda: self._inner.start(instance, session, timeout_s=timeout_s))

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        return await self._made(
            instance, "start", lambda: self._inner.start_many(instance, sessions, timeout_s=timeout_s)
        )

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._made(instance, "stop", lambda: self._inner.stop(instance, session, timeout_s=timeout_s))

    async def restart(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        return await self._made(
            instance, "restart", lambda: self._inner.restart(instance, session, timeout_s=timeout_s)
        )

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        return await self._made(instance, "logout", lambda: self._inner.logout(instance, session, timeout_s=timeout_s))

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        return await self._made(
            instance, "pairing", lambda: self._inner.pairing(instance, session, timeout_s=timeout_s)
        )

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        return await self._made(
            instance, "renew_pairing", lambda: self._inner.renew_pairing(instance, session, timeout_s=timeout_s)
        )

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        def checking() -> Awaitable[NumberChecked | Fault]:
            return self._inner.check_number(instance, session_id, digits, timeout_s=timeout_s)

        return await self._made(instance, "check_number", checking)

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        return await self._made(
            instance, "show", lambda: self._inner.show(instance, session_id, sign, timeout_s=timeout_s)
        )

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        return await self._made(
            instance, "history", lambda: self._inner.history(instance, session_id, chat, timeout_s=timeout_s)
        )

    @asynccontextmanager
    async def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AsyncIterator[FileStream | Fault]:
        self._meters.instance_called(instance, "file")
        async with AsyncExitStack() as stack:
            with in_lane(Lane.SESSIONS):
                fetched = self._inner.file(instance, session_id, file, most_bytes=most_bytes, timeout_s=timeout_s)
                answer = await stack.enter_async_context(fetched)
            yield answer

    async def _made(
        self, instance: InstanceUrl, call: str, asking: Callable[[], Awaitable[T]], session: str = NOBODY
    ) -> T | Fault:
        """The answer. Whoever refuses one key has done nothing yet, and is shown the other if it has two."""
        with call_told(self._meters.spans, instance, self.family, call) as told:
            answer = await self._asked(instance, call, asking, session)
            told.met = _met(answer)
        if told.met is Phase.NOT_ATTEMPTED:
            self._meters.call_not_made(instance, call)
        return answer

    async def _asked(
        self, instance: InstanceUrl, call: str, asking: Callable[[], Awaitable[T]], session: str
    ) -> T | Fault:
        before = enter((_LANES.get(call, Lane.SESSIONS), session))
        try:
            self._meters.instance_called(instance, call)
            answer: T | Fault = await asking()
            if self._may_be_repeated(instance, answer):
                self._meters.instance_called(instance, call)
                answer = await asking()
        except Exception as error:  # noqa: BLE001
            answer = self._raised(instance, call, error)
        finally:
            leave(before)
        return answer

    def _raised(self, instance: InstanceUrl, call: str, error: Exception) -> Fault:
        """What that call came to: whether the gateway did what it was asked is not known."""
        log.error("A driver raised", driver=self.family, url=instance, call=call, exc_info=error)
        return Fault(Phase.REPLY_MALFORMED, f"its driver raised {type(error).__name__}; the log says where")


def _met(answer: object) -> Phase | None:
    fault = answer.fault if isinstance(answer, NoList) else answer
    return fault.phase if isinstance(fault, Fault) else None

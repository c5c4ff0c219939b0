"""One session's keys and what came in, on their way into the vault: all that changed goes with whatever goes next.

Steps are written one after the other, and each has all that changed until then. So a later state of a ratchet never
gives way to an earlier one, and a message is never without the state in which it cannot be read once more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from homing.instance.session.ownership import Ownership
from homing.model.instances.vault import (
    Committed,
    Grant,
    InboxMessage,
    Login,
    RatchetStep,
    Reservation,
    SessionKey,
    StaleEpoch,
    Unsent,
)
from homing.ports import Credentials, StoreUnavailable

log = structlog.get_logger("homing")
T = TypeVar("T")
Name = tuple[str, str]


@dataclass(slots=True)
class _Unwritten:
    """What the next step has. ``waiting`` hear that all of it is durable, ``arrived`` whether it is news."""

    keys: dict[Name, SessionKey] = field(default_factory=dict)
    arrived: dict[Name, tuple[InboxMessage, "asyncio.Future[bool | None]"]] = field(default_factory=dict)
    login: Login | None = None
    waiting: "list[asyncio.Future[bool]]" = field(default_factory=list)

    def step(self, unsent: Sequence[Unsent] = ()) -> RatchetStep:
        return RatchetStep(
            tuple(self.keys.values()), tuple(message for message, _ in self.arrived.values()), unsent, self.login
        )

    def put_before(self, later: "_Unwritten") -> "_Unwritten":
        """Both, where this one could not be written."""
        return _Unwritten(
            self.keys | later.keys,
            self.arrived | later.arrived,
            self.login if later.login is None else later.login,
            self.waiting + later.waiting,
        )


class SessionState:
    """The `DeviceState` of one grant. ``superseded`` hears which epoch the vault is at when it refuses the grant;
    ``room`` returns once another inbound message may come in."""

    def __init__(
        self,
        own: Ownership,
        credentials: Credentials,
        *,
        trusted: Callable[[], Awaitable[None]],
        superseded: Callable[[int], None],
        room: Callable[[], Awaitable[None]],
        ask_again_s: float,
    ) -> None:
        self._own = own
        self._credentials = credentials
        self._trusted = trusted
        self._superseded = superseded
        self._room = room
        self._ask_again_s = ask_again_s
        self._next = _Unwritten()
        self._being_written = _Unwritten()
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._over = False

    # What an engine asks

    async def get(self, kind: str, ids: Collection[str]) -> dict[str, bytes]:
        before = await self._asked(lambda: self._credentials.keys(self._own.grant.session_id, kind, ids))
        fresh = {each: key for each in ids if (key := self._unwritten_key((kind, each))) is not None}
        kept = {each: key.value for each, key in fresh.items() if key.value is not None}
        return {each: value for each, value in before.items() if each not in fresh} | kept

    def changed(self, keys: Sequence[SessionKey]) -> None:
        self._next.keys.update({(key.kind, key.id): key for key in keys})

    async def committed(self, login: Login | None = None) -> bool:
        if self._over:
            return False
        if login is not None:
            self._next.login = login
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._next.waiting.append(written)
        self._write_soon()
        return await written

    async def had(self, message_id: str, digest: str) -> bool:
        await self._room()
        return await self._asked(lambda: self._credentials.had(self._own.grant.session_id, message_id, digest))

    # What the session asks

    def arrived(self, message: InboxMessage) -> "asyncio.Future[bool | None]":
        """Whether it is news, once it is durable with all that changed until now; None if the grant is over."""
        name = (message.message_id, message.digest)
        if name in self._next.arrived:
            return self._next.arrived[name][1]
        news: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        if self._over:
            news.set_result(None)
            return news
        self._next.arrived[name] = (message, news)
        self._write_soon()
        return news

    async def reserve(self, grant: Grant, unsent: Sequence[Unsent]) -> Sequence[Reservation] | StaleEpoch:
        """As `Credentials.reserve`, in one step with all that changed until now. Raises StoreUnavailable."""
        answer = await self._written(grant, unsent)
        return answer if isinstance(answer, StaleEpoch) else answer.reservations

    def end(self) -> None:
        """Write no more: the grant is over."""
        self._over = True
        if self._writing is not None:
            self._writing.cancel()
        for left in (self._being_written, self._next):
            for waiting in left.waiting:
                _set(waiting, False)
            for _, news in left.arrived.values():
                _set(news, None)

    # Writing

    def _unwritten_key(self, name: Name) -> SessionKey | None:
        return self._next.keys.get(name) or self._being_written.keys.get(name)

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while not self._over and (self._next.waiting or self._next.arrived):
            await self._trusted()
            try:
                answer = await self._written(self._own.grant, ())
            except StoreUnavailable as problem:
                log.debug("Vault is away; keys and messages wait for it", error=str(problem))
            except Exception:
                log.exception("Vault failed; keys and messages are tried again", session_id=self._own.grant.session_id)
            else:
                if not isinstance(answer, StaleEpoch):
                    continue
                self._superseded(answer.current)  # one that has lost its newest commits is asked again
            await asyncio.sleep(self._ask_again_s)

    async def _written(self, grant: Grant, unsent: Sequence[Unsent]) -> Committed | StaleEpoch:
        async with self._turn:
            unwritten, self._next = self._next, _Unwritten()
            self._being_written = unwritten
            try:
                answer = await self._commit(grant, unwritten.step(unsent))
            except BaseException:
                self._next = unwritten.put_before(self._next)
                raise
            finally:
                self._being_written = _Unwritten()
            if isinstance(answer, StaleEpoch):
                self._next = unwritten.put_before(self._next)
            else:
                self._tell(unwritten, answer)
            return answer

    async def _commit(self, grant: Grant, step: RatchetStep) -> Committed | StaleEpoch:
        if not (step.keys or step.arrived or step.login is not None):
            if not step.unsent:
                return Committed(grant)
            reserved = await self._credentials.reserve(grant, step.unsent)
            return reserved if isinstance(reserved, StaleEpoch) else Committed(grant, reserved)
        answer = await self._credentials.commit(grant, step)
        if isinstance(answer, Committed) and step.login is not None:
            self._own.grant = replace(self._own.grant, login=step.login, login_version=answer.grant.login_version)
        return answer

    def _tell(self, written: _Unwritten, answer: Committed) -> None:
        for waiting in written.waiting:
            _set(waiting, True)
        for name, (_, news) in written.arrived.items():
            _set(news, name not in answer.known)

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The vault's answer, as soon as it gives one."""
        while True:
            try:
                return await ask()
            except StoreUnavailable as problem:
                log.debug("Vault is away; an engine waits for it", error=str(problem))
            await asyncio.sleep(self._ask_again_s)


def _set(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)

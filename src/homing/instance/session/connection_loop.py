"""Keeping one session up under its grant: it connects and logs in, and does so again when the connection is lost."""

import asyncio
from dataclasses import dataclass
from typing import Protocol, assert_never

import structlog

from homing.instance.engine import (
    DeviceState,
    EnginePairingCode,
    EngineSession,
    Label,
    LoggedIn,
    LoggedOut,
    NotLetIn,
    StaleLogin,
    Throttled,
)
from homing.instance.notify.events import Status
from homing.instance.session.connection import SessionConnection
from homing.instance.session.context import SessionContext
from homing.instance.session.ownership import Ownership
from homing.instance.session.sending import SessionSends
from homing.model.fleet import SessionId
from homing.model.instances.vault import Login, StaleEpoch
from homing.model.sessions.exit_proxies import ExitProxy
from homing.ports import StoreUnavailable

log = structlog.get_logger("homing")


class KeptSession(Protocol):
    """The session that is kept up."""

    status: Status | None

    @property
    def over(self) -> bool:
        """No further connection is wanted under this grant."""

    def may_act(self) -> bool: ...

    def connected(self, phone_number: str | None) -> None: ...

    def unreachable(self, why: str) -> None: ...

    def hang_up(self) -> None: ...

    def show(self, code: EnginePairingCode) -> None: ...

    async def next_code(self) -> float | None:
        """For how long there is a code from now on, in seconds; None if there is none."""

    def leave(self, current_epoch: int | None) -> None: ...

    async def taken(self, how: str) -> None:
        """Someone else uses our credentials."""

    async def log_out(self, why: str, *, forget: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class _Up:
    """Logged in, or showing a code that a phone may accept within ``for_s``."""

    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Again:
    """Not up; worth another attempt, not before ``after_s``."""

    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _GrantOver:
    """Not to be attempted again under this grant."""


_Attempt = _Up | _Again | _GrantOver


class Upkeep:
    """Acts only while this boot may, and as long as the grant is the session's last."""

    def __init__(
        self,
        session: KeptSession,
        own: Ownership,
        state: DeviceState,
        sending: SessionSends,
        connection: SessionConnection,
        around: SessionContext,
    ) -> None:
        self._session = session
        self._own = own
        self._state = state
        self._sending = sending
        self._connection = connection
        self._around = around

    async def run(self) -> None:
        """Until the session is over."""
        failures = 0
        while not self._session.over:
            attempt = await self._attempt()
            match attempt:
                case _Up(for_s):
                    failures = 0
                    await self._until_down(for_s)
                    if self._session.status is not Status.AUTHENTICATED:
                        await asyncio.sleep(self._pause_s(failures))
                case _Again(after_s):
                    await asyncio.sleep(max(after_s, self._pause_s(failures)))
                    failures += 1
                case _GrantOver():
                    return
                case _:
                    assert_never(attempt)

    async def _until_down(self, for_s: float | None) -> None:
        """Until the connection breaks; a code that nobody accepted is replaced by a fresh one before that."""
        while True:
            try:
                async with asyncio.timeout(for_s):
                    await self._connection.down.wait()
            except TimeoutError:
                for_s = await self._session.next_code()
                if for_s is not None:
                    continue
            return

    def _pause_s(self, failures: int) -> float:
        return self._around.policy.reconnect_after_s(failures, self._around.random.random())

    async def _attempt(self) -> _Attempt:
        await self._around.lease.trusted()
        if self._own.grant.login is not None:
            await self._around.logins.turn()
        self._connection.down.clear()
        try:
            async with asyncio.timeout(self._around.policy.login_timeout_s):
                return await self._connect()
        except (OSError, StoreUnavailable) as problem:
            if self._session.over:
                return _GrantOver()
            told = isinstance(problem, NotLetIn)
            self._session.unreachable(str(problem) if told else f"cannot connect: {type(problem).__name__}")
            return _Again()

    async def _connect(self) -> _Attempt:
        current = await self._around.credentials.epoch(self._own.grant.session_id)
        if current > self._own.grant.epoch:
            self._session.leave(current)
            return _GrantOver()
        proxy = await self._exit()
        if isinstance(proxy, str):
            self._session.unreachable(proxy)
            return _Again()
        try:
            wire = await self._connection.open(self._state, proxy)
        except OSError as problem:
            if proxy is None:
                raise
            self._session.unreachable(f"its exit {proxy.shown} does not let it out: {type(problem).__name__}")
            return _GrantOver() if self._session.over else _Again()
        if not self._session.may_act():
            self._session.hang_up()
            return _Again()
        if self._own.grant.login is None:
            code = await wire.pair(self._own.grant.session_id)
            self._session.show(code)
            return _Up(code.expires_in_s)
        return await self._log_in(wire, self._own.grant.login)

    async def _exit(self) -> ExitProxy | str | None:
        """By which proxy it goes out now; a sentence where it has one that cannot be used: it stays down then, since
        out by the bare address it would be seen once too often. Raises StoreUnavailable."""
        if self._around.exits is None:
            return None
        session_id = SessionId(self._own.grant.session_id)
        proxy = (await self._around.exits.of([session_id])).get(session_id)
        if isinstance(proxy, ExitProxy) and not self._around.engine.capabilities.takes_proxy:
            return f"it goes out by {proxy.shown}, and the engine {self._around.engine.name} takes no proxy"
        return proxy

    async def _log_in(self, wire: EngineSession, login: Login) -> _Attempt:
        label = Label(self._own.grant.holder.instance_url, self._own.grant.epoch)
        answer = await wire.login(login, next_counter=self._sending.next_counter, label=label)
        match answer:
            case LoggedIn():
                return await self._logged_in(wire, answer)
            case Throttled(retry_after_s, reason):
                if reason:
                    self._session.unreachable(reason)
                else:
                    self._session.hang_up()
                return _Again(retry_after_s)
            case StaleLogin():
                await self._session.taken("stale credentials")
            case LoggedOut(reason, known):
                await self._session.log_out(f"WhatsApp refused the login: {reason}", forget=known)
            case _:
                assert_never(answer)
        return _GrantOver()

    async def _saved(self, wire: EngineSession, login: Login) -> StaleEpoch | None:
        """As long as WhatsApp lets us stay, a vault that does not answer is no reason to log in once more."""
        while True:
            try:
                return await self._own.save(login)
            except StoreUnavailable as problem:
                if not self._connection.is_live(wire):
                    raise
                log.warning(
                    "Login could not be kept yet; trying again",
                    session_id=self._own.grant.session_id,
                    error=str(problem),
                )
            await asyncio.sleep(self._around.policy.ask_again_s)

    async def _logged_in(self, wire: EngineSession, answer: LoggedIn) -> _Attempt:
        if answer.renewed is not None:
            stale = await self._saved(wire, answer.renewed)
            if stale is not None:
                self._session.leave(stale.current)
                return _GrantOver()
            wire.confirm(answer.renewed)
        if self._session.over or not self._connection.is_live(wire):
            return _GrantOver() if self._session.over else _Again()
        self._session.connected(answer.phone_number)
        self._sending.connected(wire.transmit, wire.seal)
        return _Up()

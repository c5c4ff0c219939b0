"""One session that this instance holds: how it comes up, stays up, and ends.

It acts under one grant. It reconnects by itself after a lost connection, as long as its epoch is the session's
last; after ``replaced`` it never does, for that would evict whoever was granted the session in the meantime.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, assert_never

from homing.instance.credentials import Credentials, Grant, Holder, Login, StaleEpoch
from homing.instance.engine import (
    Acknowledged,
    Closed,
    DeviceRemoved,
    Engine,
    EngineEvent,
    EngineSession,
    Inbound,
    Label,
    LoggedIn,
    LoggedOut,
    Paired,
    PairingCode,
    Refused,
    Replaced,
    StaleLogin,
    Throttled,
)
from homing.instance.events import (
    About,
    CodeIssued,
    HostEvent,
    MessageReceived,
    MessageSent,
    OnHostEvent,
    SessionLeft,
    Status,
    StatusChanged,
)
from homing.instance.policy import HostPolicy
from homing.instance.sending import Message, NotConnected, Sending, SendOutcome

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every session of a host shares. ``clock`` gives unix seconds."""

    engine: Engine
    credentials: Credentials
    holder: Holder
    policy: HostPolicy
    clock: Callable[[], float]
    random: Random
    on_event: OnHostEvent | None
    on_left: Callable[["HostedSession"], None]


@dataclass(frozen=True, slots=True)
class _Up:
    """Logged in, or showing a code that a phone may accept within ``for_s``."""

    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Again:
    """Not up; worth another attempt, not before ``after_s``."""

    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Over:
    """Not to be attempted again under this grant."""


_Attempt = _Up | _Again | _Over


class HostedSession:
    """A session in this instance. Before ``begin`` it is only known to be on its way: no status, no epoch."""

    def __init__(self, session_id: str, workspace_id: int | None, surroundings: Surroundings) -> None:
        self.session_id = session_id
        self.workspace_id = workspace_id
        self.grant: Grant | None = None
        self.status: Status | None = None
        self.error: str | None = None
        self.phone_number: str | None = None
        self.connected_at: float | None = None
        self.last_activity_at: float | None = None
        self.pairing: PairingCode | None = None
        self._around = surroundings
        self._login: Login | None = None
        self._sending: Sending | None = None
        self._wire: EngineSession | None = None
        self._connections = 0
        self._over = False
        self._life: asyncio.Task[None] | None = None
        self._announced: tuple[Status | None, str | None] = (None, None)
        self._inbound_waiting = 0
        self._inbound_left_out = False
        self._down = asyncio.Event()
        self._settled = asyncio.Event()
        self._telling = asyncio.Lock()
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order, so that a replay cancels in that order

    @property
    def epoch(self) -> int | None:
        return self.grant.epoch if self.grant else None

    @property
    def can_begin_again(self) -> bool:
        """It rests in a state that it does not leave by itself."""
        return self.status in (Status.ERROR, Status.LOGGED_OUT)

    # What others ask of it

    def begin(self, grant: Grant, status: Status | None = None) -> None:
        """Come up under the grant, and stay up."""
        self.grant, self._login, self.status = grant, grant.login, status
        self._sending = Sending(self._around.credentials, grant, self._around.policy)
        self._life = self._spawn(self._live(grant, self._sending))

    async def settled(self, within_s: float) -> None:
        """Returns once the session is up or has failed to come up, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()

    async def send(self, message: Message) -> SendOutcome:
        """Say something to someone, and how that ended."""
        if self._sending is None or self.status is not Status.CONNECTED:
            return NotConnected(self.status)
        outcome = await self._sending.send(message)
        if not isinstance(outcome, StaleEpoch):
            return outcome
        if outcome.current == self.epoch:  # the session was let go while its counter was reserved
            return NotConnected(self.status)
        self.leave(outcome.current)
        return outcome

    async def stop(self) -> None:
        """End the connection, politely and in bounded time. The login stays as it is."""
        self._over = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._around.policy.stop_within_s):
                if self._sending is not None:
                    self._sending.close(Status.DISCONNECTED)
                    await self._sending.drained()
                await self._all_told()
        for task in tuple(self._tasks):
            task.cancel()
        self._hang_up("session stopped")
        self.status = Status.DISCONNECTED

    async def logout(self) -> bool:
        """Unlink the device and delete its login; False if there is no connection to say it over."""
        wire, grant = self._wire, self.grant
        if grant is not None and self.status is Status.LOGGED_OUT:
            await self._around.credentials.forget(grant)
            return True
        if wire is None or grant is None or self.status is not Status.CONNECTED:
            return False
        try:
            await wire.logout()
        except ConnectionError:
            return False
        await self._log_out(grant, "logged out on request", forget=True)
        return True

    async def renew_code(self) -> PairingCode | None:
        """A fresh pairing code, if the session waits for one to be accepted."""
        if self._wire is None or self.status is not Status.QR_SCANNING:
            return None
        try:
            self._show(await self._wire.pair(self.session_id))
        except ConnectionError:
            return None
        return self.pairing

    def leave(self, current_epoch: int) -> None:
        """The session was granted elsewhere: let go of it."""
        if self.grant is None or self.epoch == current_epoch:
            return
        self._end(Status.ERROR, f"granted elsewhere at epoch {current_epoch}")
        self._tell(SessionLeft(self._about(), current_epoch))
        self._around.on_left(self)

    # Coming up and staying up

    async def _live(self, grant: Grant, sending: Sending) -> None:
        failures = 0
        while not self._over:
            attempt = await self._attempt(grant, sending)
            match attempt:
                case _Up(for_s):
                    failures = 0
                    await self._until_down(for_s)
                    if self.status is not Status.AUTHENTICATED:
                        await asyncio.sleep(self._pause_s(failures))
                case _Again(after_s):
                    await asyncio.sleep(max(after_s, self._pause_s(failures)))
                    failures += 1
                case _Over():
                    return
                case _:
                    assert_never(attempt)

    async def _until_down(self, for_s: float | None) -> None:
        """Until the connection breaks; a code that nobody accepted is replaced by a fresh one before that."""
        while True:
            try:
                async with asyncio.timeout(for_s):
                    await self._down.wait()
            except TimeoutError:
                if await self.renew_code() is not None:
                    continue
            return

    def _pause_s(self, failures: int) -> float:
        return self._around.policy.reconnect_after_s(failures, self._around.random.random())

    async def _attempt(self, grant: Grant, sending: Sending) -> _Attempt:
        self._down.clear()
        try:
            async with asyncio.timeout(self._around.policy.login_timeout_s):
                return await self._connect(grant, sending)
        except OSError as problem:
            if self._over:
                return _Over()
            self._hang_up(None)
            self._become(Status.DISCONNECTED, f"cannot connect: {type(problem).__name__}")
            return _Again()

    async def _connect(self, grant: Grant, sending: Sending) -> _Attempt:
        current = await self._around.credentials.epoch(self.session_id)
        if current != grant.epoch:
            self.leave(current)
            return _Over()
        self._connections += 1
        wire = await self._around.engine.connect(partial(self._arrived, self._connections))
        self._wire = wire
        if self._login is None:
            self._show(await wire.pair(self.session_id))
            return _Up(self.pairing.expires_in_s if self.pairing else None)
        return await self._log_in(wire, grant, sending, self._login)

    async def _log_in(self, wire: EngineSession, grant: Grant, sending: Sending, login: Login) -> _Attempt:
        label = Label(grant.holder.instance_url, grant.epoch)
        answer = await wire.login(login, next_counter=sending.next_counter, label=label)
        match answer:
            case LoggedIn():
                return await self._logged_in(wire, grant, sending, answer)
            case Throttled(retry_after_s):
                self._hang_up(None)
                return _Again(retry_after_s)
            case StaleLogin():
                await self._taken(grant, "stale credentials")
            case LoggedOut(reason, known):
                await self._log_out(grant, f"WhatsApp refused the login: {reason}", forget=known)
            case _:
                assert_never(answer)
        return _Over()

    async def _logged_in(self, wire: EngineSession, grant: Grant, sending: Sending, answer: LoggedIn) -> _Attempt:
        if answer.renewed is not None:
            refused = await self._around.credentials.save(grant, answer.renewed)
            if refused is not None:
                self.leave(refused.current)
                return _Over()
            self._login = answer.renewed
            wire.confirm(answer.renewed)
        if self._over or self._wire is not wire:
            return _Over() if self._over else _Again()
        self.phone_number, self.pairing = answer.phone_number, None
        reconnected = self.connected_at is not None
        self.connected_at = self.last_activity_at = self._around.clock()
        sending.connected(wire.transmit)
        self._become(Status.CONNECTED, None, reconnected=reconnected)
        return _Up()

    # What arrives over the connection

    def _arrived(self, connection: int, event: EngineEvent) -> None:
        if connection != self._connections or self.grant is None:
            return
        match event:
            case Acknowledged() | Refused():
                self._answered(event)
            case Inbound():
                self._offered(event)
            case Paired(login):
                self._spawn(self._paired(self.grant, login))
            case Replaced():
                self._end(Status.ERROR, "replaced")
                self._spawn(self._taken(self.grant, "replaced"))
            case DeviceRemoved():
                self._end(Status.LOGGED_OUT, "device removed")
                self._spawn(self._log_out(self.grant, "device removed", forget=True))
            case Closed():
                self._lost()
            case _:
                assert_never(event)

    def _answered(self, answer: Acknowledged | Refused) -> None:
        frame = self._sending.answered(answer) if self._sending else None
        if frame is not None:
            self.last_activity_at = self._around.clock()
            if self._around.on_event is not None:
                self._tell(MessageSent(self._about(), frame.message_id, frame.recipient))

    def _offered(self, message: Inbound) -> None:
        """Take the message in, unless too many wait already: the next connection offers it again."""
        if self._inbound_waiting >= self._around.policy.inbound_waiting_max:
            self._inbound_left_out = True
            return
        self._inbound_waiting += 1
        self._spawn(self._receive(message, self._wire)).add_done_callback(self._received)

    def _received(self, _: asyncio.Task[None]) -> None:
        self._inbound_waiting -= 1
        if self._inbound_left_out and not self._inbound_waiting and not self._over:
            self._inbound_left_out = False
            self._lost()

    async def _receive(self, message: Inbound, wire: EngineSession | None) -> None:
        self.last_activity_at = self._around.clock()
        async with self._telling:
            kept = await self._kept(message, wire)
        if kept and wire is not None and wire is self._wire:
            wire.received(message.id)

    async def _kept(self, message: Inbound, wire: EngineSession | None) -> bool:
        """Whether the listener has the message. It is asked again as long as the connection lasts, so that the order
        stays; over another connection WhatsApp offers the message anew.
        """
        if self._around.on_event is None:
            return True
        about, phone = self._about(), self.phone_number
        event = MessageReceived(about, message.id, message.sender, message.text, message.at, phone)
        refused = False
        while wire is self._wire:
            try:
                await self._around.on_event(event)
                return True
            except OSError as problem:
                if not refused:
                    log.warning("session %s: inbound messages stay with WhatsApp: %s", self.session_id, problem)
                refused = True
            await asyncio.sleep(self._around.policy.offer_again_s)
        return False

    async def _paired(self, grant: Grant, login: Login) -> None:
        refused = await self._around.credentials.save(grant, login)
        if refused is not None:
            self.leave(refused.current)
            return
        self._login, self.pairing = login, None
        self._become(Status.AUTHENTICATED, None)
        self._lost()

    def _lost(self) -> None:
        """The connection is no use any more; the session's own task makes the next one."""
        self._hang_up(None)
        if self.status is Status.CONNECTED:
            self._become(Status.DISCONNECTED, "connection to WhatsApp lost")
        self._down.set()

    async def _taken(self, grant: Grant, how: str) -> None:
        """Someone else uses our credentials: the one who was granted them, or a stranger."""
        current = await self._around.credentials.epoch(self.session_id)
        if current > grant.epoch:
            self.leave(current)
            return
        self._end(Status.ERROR, how)
        self._become(Status.ERROR, how)

    async def _log_out(self, grant: Grant, why: str, *, forget: bool) -> None:
        self._end(Status.LOGGED_OUT, why)
        self._become(Status.LOGGED_OUT, why)
        if forget:
            self._login = None
            await self._around.credentials.forget(grant)

    # Small steps

    def _show(self, code: PairingCode) -> None:
        self.pairing = code
        self._become(Status.QR_SCANNING, None)
        self._tell(CodeIssued(self._about(), code.code, code.expires_in_s))

    def _become(self, status: Status, error: str | None, *, reconnected: bool = False) -> None:
        self._settled.set()
        self.status, self.error = status, error
        if self._announced != (status, error):
            self._announced = (status, error)
            self._tell(StatusChanged(self._about(), status, self.phone_number, error, reconnected))

    def _end(self, status: Status, error: str) -> None:
        """No more of this grant's connections; callers see the state at once, listeners once it is certain."""
        self._over = True
        self.status, self.error = status, error
        if self._life is not None and self._life is not asyncio.current_task():
            self._life.cancel()
        self._hang_up(error)
        self._down.set()
        self._settled.set()

    def _hang_up(self, for_good: str | None) -> None:
        """Close the connection. ``for_good`` says why no other will follow; what was on the wire ends with it."""
        wire, self._wire = self._wire, None
        self._connections += 1
        if self._sending is not None and for_good is not None:
            self._sending.close(Status.DISCONNECTED)
            self._sending.give_up(for_good)
        elif self._sending is not None:
            self._sending.disconnected(Status.DISCONNECTED)
        if wire is not None:
            wire.close()

    def _about(self) -> About:
        return About(self.session_id, self.workspace_id, self.epoch or 0)

    def _tell(self, event: HostEvent) -> None:
        if self._around.on_event is not None:
            self._spawn(self._told(self._around.on_event, event))

    async def _told(self, on_event: OnHostEvent, event: HostEvent) -> None:
        async with self._telling:
            try:
                await on_event(event)
            except OSError as problem:
                log.warning("session %s: nobody was told of a %s: %s", self.session_id, type(event).__name__, problem)

    async def _all_told(self) -> None:
        """Returns once the listener has heard of all that happened until now."""
        await asyncio.sleep(0)  # what happened just now takes its place in the line
        async with self._telling:
            return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("session %s: %s", self.session_id, task.exception(), exc_info=task.exception())

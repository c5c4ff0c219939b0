"""One session that this instance holds: how it comes up, stays up, and ends.

It acts under one grant, and only while this boot may act. It reconnects by itself after a lost connection, as long as
its epoch is the session's last; after ``replaced`` it never does, for that would evict whoever was granted the session
in the meantime.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import assert_never

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
    MessageReceived,
    MessageSent,
    OnHostEvent,
    SessionLeft,
    Status,
    StatusChanged,
)
from homing.instance.inbox import Inbox
from homing.instance.lease import Lease
from homing.instance.logins import Logins
from homing.instance.messages import Message, NotConnected, Paused, SendOutcome
from homing.instance.policy import HostPolicy
from homing.instance.rates import Rate
from homing.instance.sending import Sending
from homing.instance.tasks import Tasks
from homing.instance.telling import Telling
from homing.model.vault import Grant, Login, StaleEpoch
from homing.ports import Clock, Credentials, StoreUnavailable

log = logging.getLogger(__name__)
REPLACED = "replaced"
"""What a session says that somebody else logged in with its credentials, who was not granted them."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every session of a host shares. ``sent`` counts the messages of all of them."""

    engine: Engine
    credentials: Credentials
    lease: Lease
    logins: Logins
    policy: HostPolicy
    clock: Clock
    random: Random
    sent: Rate
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

    def __init__(self, session_id: str, workspace_id: int | None, around: Surroundings) -> None:
        self.session_id = session_id
        self.workspace_id = workspace_id
        self.grant: Grant | None = None
        self.status: Status | None = None
        self.error: str | None = None
        self.phone_number: str | None = None
        self.connected_at: float | None = None
        self.last_activity_at: float | None = None
        self.pairing: PairingCode | None = None
        self._around = around
        self._login: Login | None = None
        self._sending: Sending | None = None
        self._wire: EngineSession | None = None
        self._connections = 0
        self._over = self._gone = self._doubted = False
        self._doubting: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None
        self._announced: tuple[Status | None, str | None] = (None, None)
        self._down = asyncio.Event()
        self._settled = asyncio.Event()
        self._tasks = Tasks(session_id)
        self._telling = Telling(session_id, around.on_event, self._tasks, around.policy.offer_again_s)
        self.inbox = Inbox(
            self._telling,
            self._tasks,
            waiting_max=around.policy.inbound_waiting_max,
            event_of=self._received,
            is_live=lambda wire: wire is self._wire,
            trusted=around.lease.trusted,
            offer_again=lambda: None if self._over else self._lost(),
        )

    @property
    def epoch(self) -> int | None:
        return self.grant.epoch if self.grant else None

    @property
    def can_begin_again(self) -> bool:
        """It rests in a state that it does not leave by itself."""
        return self.status in (Status.ERROR, Status.LOGGED_OUT)

    # What others ask of it

    def begin(self, grant: Grant, status: Status | None = None, before: "HostedSession | None" = None) -> None:
        """Come up under the grant, and stay up. ``before`` held the session under an earlier one in this process."""
        self.grant, self._login, self.status = grant, grant.login, status
        had = before._sending.acknowledged if before is not None and before._sending is not None else ()
        self._sending = Sending(
            self._around.credentials,
            grant,
            self._around.policy,
            self._around.clock,
            may_act=self._may_act,
            superseded=self._superseded,
            had=had,
        )
        self._life = self._tasks.spawn(self._live(grant, self._sending))

    async def settled(self, within_s: float) -> None:
        """Returns once the session is up or has failed to come up, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()

    async def send(self, message: Message) -> SendOutcome:
        """Say something to someone, and how that ended."""
        if self._sending is None:
            return NotConnected(self.status)
        outcome = await self._sending.send(message)
        if isinstance(outcome, NotConnected) and self.status is not Status.CONNECTED:
            return NotConnected(self.status)
        return outcome

    async def close(self) -> None:
        """Take no more messages, and let those under way come to their end, in bounded time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._around.policy.stop_within_s):
                if self._sending is not None:
                    self._sending.close()
                    await self._sending.drained()
                await self._telling.all_told()

    def reopen(self) -> None:
        """Go on as before ``close``."""
        if self._sending is not None and not self._over:
            self._sending.reopen()

    async def stop(self) -> None:
        """End the connection, politely and in bounded time. The login stays as it is."""
        self._over = self._gone = True
        await self.close()
        self.cut()

    def cut(self) -> None:
        """End the connection at once."""
        self._over = self._gone = True
        self._tasks.cancel()
        self._hang_up("session stopped")
        self.status = Status.DISCONNECTED
        self._settled.set()

    async def logout(self) -> bool:
        """Unlink the device and delete its login; False if there is no connection to say it over."""
        wire, grant = self._wire, self.grant
        if grant is not None and self.status is Status.LOGGED_OUT:
            await self._forget(grant)
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

    def leave(self, current_epoch: int | None) -> None:
        """The session is another's, at this epoch where that is known: let go of it."""
        if self.grant is None or self._gone:
            return
        self._gone = True
        known = "its grant is over" if current_epoch is None else f"granted elsewhere at epoch {current_epoch}"
        self._end(Status.ERROR, known)
        self._telling.tell(SessionLeft(self._about(), current_epoch))
        self._around.on_left(self)

    async def doubt(self, wait_s: float) -> None:
        """Somebody knows of a higher epoch: say nothing more until the vault has told whose the session is.

        Returns once that is known, or after ``wait_s``.
        """
        if self.grant is None or self._gone:
            return
        self._doubted = True
        if self._doubting is None or self._doubting.done():
            self._doubting = self._tasks.spawn(self._find_out(self.grant))
        await asyncio.wait([self._doubting], timeout=wait_s)

    async def _find_out(self, grant: Grant) -> None:
        current = await self._vault_epoch()
        if current > grant.epoch:
            self.leave(current)
        self._doubted = False
        self.go_on()

    def pause(self) -> None:
        """This boot may not act for now; the connection stays."""
        if self._sending is not None:
            self._sending.turn_back(Paused())

    def go_on(self) -> None:
        """This boot may act: what waited for that leaves now."""
        if self._sending is not None:
            self._sending.pump()

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
        await self._around.lease.trusted()
        if self._login is not None:
            await self._around.logins.turn()
        self._down.clear()
        try:
            async with asyncio.timeout(self._around.policy.login_timeout_s):
                return await self._connect(grant, sending)
        except (OSError, StoreUnavailable) as problem:
            if self._over:
                return _Over()
            self._hang_up(None)
            self._become(Status.DISCONNECTED, f"cannot connect: {type(problem).__name__}")
            return _Again()

    async def _connect(self, grant: Grant, sending: Sending) -> _Attempt:
        current = await self._around.credentials.epoch(self.session_id)
        if current > grant.epoch:
            self.leave(current)
            return _Over()
        self._connections += 1
        wire = await self._around.engine.connect(partial(self._arrived, self._connections))
        self._wire = wire
        if not self._may_act():
            self._hang_up(None)
            return _Again()
        if self._login is None:
            self._show(await wire.pair(self.session_id))
            return _Up(self.pairing.expires_in_s if self.pairing else None)
        return await self._log_in(wire, grant, sending, self._login)

    async def _log_in(self, wire: EngineSession, grant: Grant, sending: Sending, login: Login) -> _Attempt:
        label = Label(grant.holder.instance_url, grant.epoch)
        answer = await wire.login(login, next_counter=sending.next_counter, label=label)
        match answer:
            case LoggedIn():
                return await self._logged_in(wire, sending, answer)
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

    async def _logged_in(self, wire: EngineSession, sending: Sending, answer: LoggedIn) -> _Attempt:
        if answer.renewed is not None:
            if not await self._save(answer.renewed):
                return _Over()
            wire.confirm(answer.renewed)
        if self._over or self._wire is not wire:
            return _Over() if self._over else _Again()
        self.phone_number, self.pairing = answer.phone_number, None
        reconnected = self.connected_at is not None
        self.connected_at = self.last_activity_at = self._now()
        sending.connected(wire.transmit)
        self._become(Status.CONNECTED, None, reconnected=reconnected)
        return _Up()

    async def _save(self, login: Login) -> bool:
        """Keep the login; False if the session is another's by now."""
        await self._around.lease.trusted()
        assert self.grant is not None
        saved = await self._around.credentials.save(self.grant, login)
        if isinstance(saved, StaleEpoch):
            self.leave(saved.current)
            return False
        self.grant, self._login = saved, login
        return True

    # What arrives over the connection

    def _arrived(self, connection: int, event: EngineEvent) -> None:
        if connection != self._connections or self.grant is None:
            return
        match event:
            case Acknowledged() | Refused():
                self._answered(event)
            case Inbound():
                self.last_activity_at = self._now()
                self.inbox.take(event, self._wire)
            case Paired(login):
                self._tasks.spawn(self._paired(login))
            case Replaced():
                self._end(Status.ERROR, REPLACED)
                self._tasks.spawn(self._taken(self.grant, REPLACED))
            case DeviceRemoved():
                self._end(Status.LOGGED_OUT, "device removed")
                self._tasks.spawn(self._log_out(self.grant, "device removed", forget=True))
            case Closed():
                self._lost()
            case _:
                assert_never(event)

    def _answered(self, answer: Acknowledged | Refused) -> None:
        frame = self._sending.answered(answer) if self._sending else None
        if frame is not None:
            self.last_activity_at = self._now()
            self._around.sent.happened()
            self._telling.tell(MessageSent(self._about(), frame.message_id, frame.recipient))

    def _received(self, message: Inbound) -> MessageReceived:
        return MessageReceived(
            self._about(), message.id, message.sender, message.text, message.at, self.phone_number
        )

    async def _paired(self, login: Login) -> None:
        if await self._save(login):
            self.pairing = None
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
        current = await self._vault_epoch()
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
            await self._forget(grant)

    async def _forget(self, grant: Grant) -> None:
        """A login that could not be deleted is refused by WhatsApp when it is used again, and deleted then."""
        await self._around.lease.trusted()
        try:
            await self._around.credentials.forget(grant)
        except StoreUnavailable as problem:
            log.warning("session %s: its login could not be deleted: %s", self.session_id, problem)

    # Small steps

    def _may_act(self) -> bool:
        return not self._doubted and self._around.lease.may_act()

    def _superseded(self, current: int) -> None:
        """The vault refused a write under our grant. One that has lost its newest commits proves nothing."""
        if self.grant is not None and current >= self.grant.epoch:
            self.leave(current)

    async def _vault_epoch(self) -> int:
        """The session's epoch, as soon as the vault can tell."""
        while True:
            try:
                return await self._around.credentials.epoch(self.session_id)
            except StoreUnavailable as problem:
                log.warning("session %s: its epoch could not be read: %s", self.session_id, problem)
            await asyncio.sleep(self._around.policy.ask_again_s)

    def _show(self, code: PairingCode) -> None:
        self.pairing = code
        self._become(Status.QR_SCANNING, None)
        self._telling.tell(CodeIssued(self._about(), code.code, code.expires_in_s))

    def _become(self, status: Status, error: str | None, *, reconnected: bool = False) -> None:
        self._settled.set()
        self.status, self.error = status, error
        if self._announced != (status, error):
            self._announced = (status, error)
            self._telling.tell(StatusChanged(self._about(), status, self.phone_number, error, reconnected))

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
            self._sending.end(for_good)
        elif self._sending is not None:
            self._sending.disconnected()
        if wire is not None:
            wire.close()

    def _about(self) -> About:
        return About(self.session_id, self.workspace_id, self.epoch or 0)

    def _now(self) -> float:
        return self._around.clock.now().timestamp()

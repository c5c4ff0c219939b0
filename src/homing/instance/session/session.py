"""One session that this instance holds: how it comes up, stays up, and ends.

It acts under one grant, and only while this boot may act. It reconnects by itself after a lost connection, as long as
its epoch is the session's last; after ``replaced`` it never does, for that would evict whoever was granted the session
in the meantime.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

import structlog

from homing.decide.fleet.leases import outlived_a_backup
from homing.instance.engine import (
    Acknowledged,
    Closed,
    DeviceRemoved,
    EngineEvent,
    EnginePairingCode,
    FrameRefused,
    Inbound,
    Paired,
    PairingFailed,
    Replaced,
    Uploaded,
)
from homing.instance.notify.events import (
    CodeIssued,
    EventSubject,
    MessageReceived,
    MessageSent,
    SessionLeft,
    Status,
    StatusChanged,
)
from homing.instance.session.connection import SessionConnection
from homing.instance.session.connection_loop import Upkeep
from homing.instance.session.context import SessionContext
from homing.instance.session.device_state import SessionState
from homing.instance.session.event_emitter import Telling
from homing.instance.session.inbox import Inbox
from homing.instance.session.messages import Message, NotConnected, Paused, SendOutcome
from homing.instance.session.ownership import Ownership
from homing.instance.session.sending import SessionSends
from homing.instance.session.tasks import Tasks
from homing.model.instances.vault import Grant, Login
from homing.model.sends.content import MessageType
from homing.model.sends.signs import ChatSign

log = structlog.get_logger("homing")
REPLACED = "replaced"
"""What a session says that somebody else logged in with its credentials, who was not granted them."""


class HostedSession:
    """A session in this instance. Before ``begin`` it is only known to be on its way: no status, no epoch.

    ``on_left`` hears when it was let go of without anybody asking for it.
    """

    def __init__(
        self,
        session_id: str,
        workspace_id: int | None,
        around: SessionContext,
        on_left: Callable[["HostedSession"], None],
    ) -> None:
        self.session_id = session_id
        self.workspace_id = workspace_id
        self.status: Status | None = None
        self.error: str | None = None
        self.phone_number: str | None = None
        self.connected_at: float | None = None
        self.last_activity_at: float | None = None
        self.pairing: EnginePairingCode | None = None
        self.pairing_ended = False
        self._pairing_failed: str | None = None
        self._code_at_s = 0.0
        self._around = around
        self._on_left = on_left
        self._own: Ownership | None = None
        self._state: SessionState | None = None
        self._sending: SessionSends | None = None
        self._connection = SessionConnection(around.engine, self._arrived)
        self.over = self._gone = self._doubted = False
        self._upkeep: asyncio.Task[None] | None = None
        self._doubting: asyncio.Task[None] | None = None
        self._announced: tuple[Status | None, str | None] = (None, None)
        self._settled = asyncio.Event()
        self._tasks = Tasks(session_id)
        self._telling = Telling(session_id, around.on_event, self._tasks, around.policy.offer_again_s)
        self.inbox = Inbox(
            self._telling,
            self._tasks,
            waiting_max=around.policy.inbound_waiting_max,
            event_of=self._received,
            is_live=self._connection.is_live,
            offer_again=lambda: None if self.over else self._lost(),
            told=self._told,
            over=lambda: self.over,
        )

    @property
    def grant(self) -> Grant | None:
        """What it acts under, with the counters that were reserved until now."""
        if self._own is None or self._sending is None:
            return None
        return replace(self._own.grant, next_counter=self._sending.next_counter)

    @property
    def epoch(self) -> int | None:
        return self._own.grant.epoch if self._own else None

    @property
    def code_left_s(self) -> float:
        """For how long its code is good still."""
        if self.pairing is None:
            return 0.0
        return max(0.0, self._code_at_s + self.pairing.expires_in_s - self._around.clock.monotonic())

    @property
    def can_begin_again(self) -> bool:
        """It rests in a state that it does not leave by itself."""
        return self.status in (Status.ERROR, Status.LOGGED_OUT)

    # What others ask of it

    def begin(self, grant: Grant, status: Status | None = None, before: "HostedSession | None" = None) -> None:
        """Come up under the grant, and stay up. ``before`` held the session under an earlier one in this process."""
        self.status = status
        self._own = Ownership(grant, self._around.credentials, self._around.lease, self._around.policy.ask_again_s)
        self._state = SessionState(
            self._own,
            self._around.credentials,
            trusted=self._trusted,
            superseded=self._superseded,
            room=self.inbox.room,
            ask_again_s=self._around.policy.ask_again_s,
        )
        had = frozenset(before._sending.acknowledged if before is not None and before._sending is not None else ())
        self._sending = SessionSends(
            self._around.credentials,
            grant,
            self._around.policy,
            self._around.clock,
            reserve=self._state.reserve,
            may_act=self.may_act,
            superseded=self._superseded,
            had=had,
        )
        upkeep = Upkeep(self, self._own, self._state, self._sending, self._connection, self._around)
        self._upkeep = self._tasks.spawn(upkeep.run())
        self.inbox.take_up(grant.untold)

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

    async def upload(self, pieces: AsyncIterator[bytes], kind: MessageType) -> Uploaded | NotConnected:
        """A file that WhatsApp has now, for a message of this kind. Raises whatever reading the pieces raises.

        Nobody is written to by that: a file without a message harms nobody.
        """
        wire = self._connection.wire
        if wire is None or self.status is not Status.CONNECTED:
            return NotConnected(self.status)
        try:
            return await wire.upload(pieces, kind)
        except ConnectionError as problem:
            log.warning("A file was not given to WhatsApp", session_id=self.session_id, reason=str(problem))
            return NotConnected(self.status)

    async def show_sign(self, sign: ChatSign) -> NotConnected | None:
        """Show a sign to a chat. One that is lost harms nobody, and is not repeated."""
        wire = self._connection.wire
        if wire is None or self.status is not Status.CONNECTED:
            return NotConnected(self.status)
        try:
            await wire.show(sign)
        except ConnectionError as problem:
            log.info("A sign was not shown", session_id=self.session_id, reason=str(problem))
            return NotConnected(self.status)
        return None

    def download(self, reference: str) -> AsyncIterator[bytes] | NotConnected:
        """A file that came with a message, from WhatsApp. Its pieces raise FileGone or ConnectionError."""
        wire = self._connection.wire
        if wire is None or self.status is not Status.CONNECTED:
            return NotConnected(self.status)
        return wire.download(reference)

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
        if self._sending is not None and not self.over:
            self._sending.reopen()

    async def stop(self) -> None:
        """End the connection, politely and in bounded time. The login stays as it is."""
        self.over = self._gone = True
        await self.close()
        self.cut()

    def cut(self) -> None:
        """End the connection at once."""
        self.over = self._gone = True
        self._tasks.cancel()
        self._hang_up_for_good("session stopped")
        self.status = Status.DISCONNECTED
        self._settled.set()

    async def logout(self) -> bool:
        """Unlink the device and delete its login; False if there is no connection to say it over."""
        wire, own = self._connection.wire, self._own
        if own is not None and self.status is Status.LOGGED_OUT:
            await own.forget()
            return True
        if wire is None or own is None or self.status is not Status.CONNECTED:
            return False
        try:
            await wire.logout()
        except ConnectionError:
            return False
        await self.log_out("logged out on request", forget=True)
        return True

    async def renew_code(self, phone: str | None = None) -> EnginePairingCode | None:
        """A fresh pairing code, if the session waits for one to be accepted; with ``phone`` one to type into that."""
        wire = self._connection.wire
        if wire is None or self.status is not Status.QR_SCANNING:
            return None
        try:
            self.show(await wire.pair(self.session_id, phone))
        except ConnectionError:
            return None
        return self.pairing

    def leave(self, current_epoch: int | None) -> None:
        """The session is another's, at this epoch where that is known: let go of it."""
        if self._own is None or self._gone:
            return
        self._gone = True
        grant = self.grant
        if grant is not None and current_epoch is not None and outlived_a_backup(grant.epoch, current_epoch):
            self._around.outlived[self.session_id] = grant
        known = "its grant is over" if current_epoch is None else f"granted elsewhere at epoch {current_epoch}"
        self._end(Status.ERROR, known)
        self._telling.tell(SessionLeft(self._about(), current_epoch))
        self._on_left(self)

    async def doubt(self, wait_s: float) -> None:
        """Somebody knows of a higher epoch: say nothing more until the vault has told whose the session is.

        Returns once that is known, or after ``wait_s``.
        """
        if self._own is None or self._gone:
            return
        self._doubted = True
        if self._doubting is None or self._doubting.done():
            self._doubting = self._tasks.spawn(self._find_out(self._own))
        await asyncio.wait([self._doubting], timeout=wait_s)

    async def _find_out(self, own: Ownership) -> None:
        current = await own.vault_epoch()
        if current > own.grant.epoch:
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

    # What keeps it up needs of it

    def may_act(self) -> bool:
        return not self._doubted and self._around.lease.may_act()

    def connected(self, phone_number: str | None) -> None:
        self.phone_number, self.pairing = phone_number, None
        reconnected = self.connected_at is not None
        self.connected_at = self.last_activity_at = self._now()
        self._become(Status.CONNECTED, None, reconnected=reconnected)

    def unreachable(self, why: str) -> None:
        self.hang_up()
        self._become(Status.DISCONNECTED, why)

    def hang_up(self) -> None:
        """Close the connection; another one will follow."""
        if self._sending is not None:
            self._sending.disconnected()
        self._connection.close()

    async def next_code(self) -> float | None:
        """A code that somebody is about to type stays as long as it is good."""
        if self.pairing is not None and self.pairing.typed and self.code_left_s > 1.0:
            return self.code_left_s
        code = await self.renew_code()
        return None if code is None else code.expires_in_s

    def show(self, code: EnginePairingCode) -> None:
        """The phone's code, with what came of the one before, if that failed."""
        self.pairing, self._code_at_s = code, self._around.clock.monotonic()
        self._become(Status.QR_SCANNING, self._pairing_failed)
        self._telling.tell(CodeIssued(self._about(), code.code, code.expires_in_s, code.typed))

    async def taken(self, how: str) -> None:
        """Someone else uses our credentials: the one who was granted them, or a stranger."""
        assert self._own is not None
        current = await self._own.vault_epoch()
        if current > self._own.grant.epoch:
            self.leave(current)
            return
        self._end(Status.ERROR, how)
        self._become(Status.ERROR, how)

    async def log_out(self, why: str, *, forget: bool) -> None:
        self._end(Status.LOGGED_OUT, why)
        self._become(Status.LOGGED_OUT, why)
        if forget and self._own is not None:
            await self._own.forget()

    # What arrives over the connection

    def _arrived(self, event: EngineEvent) -> None:
        own = self._own
        if own is None:
            return
        match event:
            case Acknowledged() | FrameRefused():
                self._answered(event)
            case Inbound():
                self.last_activity_at = self._now()
                if self._state is not None:
                    self.inbox.take(event, self._connection.wire, self._state)
            case Paired(login):
                self._tasks.spawn(self._paired(own, login))
            case PairingFailed(reason, final):
                self._pairing_failed = reason
                if final:
                    self.pairing, self.pairing_ended = None, True
                    self._end(Status.ERROR, reason)
                    self._become(Status.ERROR, reason)
            case Replaced():
                self._end(Status.ERROR, REPLACED)
                self._tasks.spawn(self.taken(REPLACED))
            case DeviceRemoved():
                self._end(Status.LOGGED_OUT, "device removed")
                self._tasks.spawn(self.log_out("device removed", forget=True))
            case Closed():
                self._lost()
            case _:
                assert_never(event)

    def _answered(self, answer: Acknowledged | FrameRefused) -> None:
        message = self._sending.answered(answer) if self._sending else None
        if message is not None:
            self.last_activity_at = self._now()
            self._around.sent.happened()
            self._telling.tell(MessageSent(self._about(), message.message_id, message.recipient))

    def _received(self, message: Inbound) -> MessageReceived:
        return MessageReceived(
            self._about(), message.id, message.sender, message.text or "", message.at, self.phone_number, message.file
        )

    def _told(self, name: tuple[str, str]) -> None:
        self._tasks.spawn(self._note_told(name))

    async def _note_told(self, name: tuple[str, str]) -> None:
        """The listener has this inbound message."""
        await self._trusted()
        if self._own is not None:
            await self._around.credentials.told(self._own.grant, [name])

    async def _paired(self, own: Ownership, login: Login) -> None:
        stale = await own.save(login)
        if stale is not None:
            self.leave(stale.current)
            return
        self.pairing = self._pairing_failed = None
        self._become(Status.AUTHENTICATED, None)
        self._lost()

    def _lost(self) -> None:
        """The connection is no use any more; the session's own task makes the next one."""
        self.hang_up()
        if self.status is Status.CONNECTED:
            self._become(Status.DISCONNECTED, "connection to WhatsApp lost")
        self._connection.down.set()

    # Small steps

    async def _trusted(self) -> None:
        """Returns once this boot may act for the session."""
        await self._around.lease.trusted()
        if self._doubting is not None:
            await asyncio.wait([self._doubting])

    def _superseded(self, current: int) -> None:
        """The vault refused a write under our grant. One that has lost its newest commits proves nothing."""
        if self._own is not None and current >= self._own.grant.epoch:
            self.leave(current)

    def _become(self, status: Status, error: str | None, *, reconnected: bool = False) -> None:
        self._settled.set()
        self.status, self.error = status, error
        if self._announced != (status, error):
            self._announced = (status, error)
            self._telling.tell(StatusChanged(self._about(), status, self.phone_number, error, reconnected))

    def _end(self, status: Status, error: str) -> None:
        """No more of this grant's connections; callers see the state at once, listeners once it is certain."""
        self.over = True
        self.status, self.error = status, error
        if self._upkeep is not None and self._upkeep is not asyncio.current_task():
            self._upkeep.cancel()
        self._hang_up_for_good(error)
        self._connection.down.set()
        self._settled.set()

    def _hang_up_for_good(self, why: str) -> None:
        """Close the connection; what was on the wire ends with it."""
        if self._sending is not None:
            self._sending.end(why)
        if self._state is not None:
            self._state.end()
        self._connection.close()

    def _about(self) -> EventSubject:
        return EventSubject(self.session_id, self.workspace_id, self.epoch or 0)

    def _now(self) -> float:
        return self._around.clock.now().timestamp()

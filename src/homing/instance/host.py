"""The session host: which sessions this instance holds, and what can be asked of them.

It knows neither HTTP nor files nor sockets: an engine, a vault, a lease, a clock and a source of chance are given to
it. What concerns one session id happens one thing at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import structlog

from homing.instance.engine import Engine, EnginePairingCode, Uploaded
from homing.instance.lease import LeaseKeeper
from homing.instance.logins import LoginTurns
from homing.instance.notify.events import OnHostEvent, Status
from homing.instance.opening import Opening, OpenRequest, Started
from homing.instance.policy import HostPolicy
from homing.instance.rates import DecayingRate
from homing.instance.session.context import SessionContext
from homing.instance.session.messages import Message, NotConnected, Paused, SendOutcome
from homing.instance.session.session import HostedSession
from homing.model.instances.vault import Holder, StaleEpoch
from homing.model.sends.content import MessageType
from homing.model.sends.signs import ChatSign
from homing.ports import Clock, Credentials, StoreUnavailable
from homing.ports.sessions.exit_proxies import KnowsExitProxies

log = structlog.get_logger("homing")
DOUBT_WAIT_S = 2.0
TAKE_UP_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class NotFound:
    """This instance does not hold the session."""


class SessionHost:
    """The sessions of this instance. ``on_event`` hears of what happens to them."""

    def __init__(
        self,
        engine: Engine,
        credentials: Credentials,
        lease: LeaseKeeper,
        *,
        clock: Clock,
        random: Random,
        policy: HostPolicy | None = None,
        on_event: OnHostEvent | None = None,
        exits: KnowsExitProxies | None = None,
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.policy = policy or HostPolicy()
        self.clock = clock
        self.sent = DecayingRate(clock)
        self._credentials = credentials
        self._random = random
        self._around = SessionContext(
            engine=engine,
            credentials=credentials,
            lease=lease,
            logins=LoginTurns(self.policy.logins_per_s, clock),
            policy=self.policy,
            clock=clock,
            random=random,
            sent=self.sent,
            on_event=on_event,
            exits=exits,
        )
        self._opening = Opening(self._around)
        self._sessions = self._opening.sessions
        self._taking_up: asyncio.Task[None] | None = None

    @property
    def holder(self) -> Holder:
        """This instance in its present incarnation."""
        return self.lease.holder

    def now(self) -> float:
        """Unix seconds."""
        return self.clock.now().timestamp()

    def sessions(self) -> list[HostedSession]:
        return list(self._sessions.values())

    def find(self, session_id: str) -> HostedSession | None:
        return self._sessions.get(session_id)

    def new_message_id(self) -> str:
        """An id as WhatsApp's own clients make them: ``3EB0`` and 18 hexadecimal digits."""
        return f"3EB0{self._random.getrandbits(72):018X}"

    # Lifecycle

    async def start(self, session_id: str, workspace_id: int | None, epoch: int | None = None) -> Started:
        """Hold the session; one that is held already at that epoch stays as it is.

        Returns once it is connected or shows a code, or after ``login_wait_s``. Raises StoreUnavailable.
        """
        (started,) = await self.start_many([OpenRequest(session_id, workspace_id, epoch)])
        return started

    async def start_many(self, wanted: Sequence[OpenRequest], *, wait_s: float | None = None) -> list[Started]:
        """The same for many, each of them once, with one word to the vault; in the order of ``wanted``."""
        by_id = {each.session_id: each for each in wanted}
        async with self._opening.turns(by_id):
            staying = {each.session_id: kept for each in by_id.values() if (kept := self._kept(each)) is not None}
            opened = await self._opening.open([each for each in by_id.values() if each.session_id not in staying])
        started: dict[str, Started] = {**staying, **opened}
        await self._opening.settled(started.values(), wait_s)
        return [started[each.session_id] for each in wanted]

    async def restart(self, session_id: str, workspace_id: int | None, epoch: int | None = None) -> Started:
        """Stop the session if it is held, and hold it anew under a new epoch."""
        async with self._opening.turn(session_id):
            held = self._sessions.get(session_id)
            if held is not None and held.epoch is not None and epoch is not None and epoch <= held.epoch:
                return StaleEpoch(held.epoch)
            opened = await self._opening.open([OpenRequest(session_id, workspace_id, epoch)])
        await self._opening.settled(opened.values())
        return opened[session_id]

    async def stop(self, session_id: str, epoch: int | None = None) -> bool | StaleEpoch:
        """Let the session go, its login untouched; False if it is not held here.

        Whoever names another epoch means another holding: nothing is stopped.
        """
        async with self._opening.turn(session_id):
            held = self._sessions.get(session_id)
            if held is None:
                return False
            if (stale := await self._stale(held, epoch)) is not None:
                return stale
            await held.stop()
            if held.grant is not None:
                await self._credentials.release([held.grant])
            self._opening.left(held)
            return True

    async def logout(self, session_id: str, epoch: int | None = None) -> HostedSession | NotFound | StaleEpoch:
        """Unlink the session's device; its status tells whether that could be done. ``epoch`` is as in ``stop``."""
        async with self._opening.turn(session_id):
            held = self._sessions.get(session_id)
            if held is None:
                return NotFound()
            if (stale := await self._stale(held, epoch)) is not None:
                return stale
            await held.logout()
            return held

    async def renew_code(
        self, session_id: str, phone: str | None = None
    ) -> EnginePairingCode | Status | NotFound | None:
        """A fresh pairing code, with ``phone`` one to type into that; the status instead, if the session has no use
        for one.

        A session that is logged out, or whose pairing failed for good, begins to pair, under a new epoch: whoever asks
        for a code wants it linked again.
        """
        held = self._sessions.get(session_id)
        if held is None:
            return NotFound()
        if held.status is not Status.LOGGED_OUT and not held.pairing_ended:
            return await held.renew_code(phone) or held.status
        if held.status is Status.LOGGED_OUT:
            await held.logout()
        again = await self.restart(session_id, held.workspace_id)
        if not isinstance(again, HostedSession):
            return held.status
        code = again.pairing if phone is None else await again.renew_code(phone)
        return code or again.status

    async def restore(self) -> None:
        """Hold again what an earlier boot of this instance held.

        A session that was granted to another holder since is left to it, and one that was granted to this very boot
        to whoever is about to start it; unless it was this that asked for it, and did not hear that it has it.
        """
        await self.lease.trusted()
        granted = (await self._credentials.held_by_boot(self.holder)).keys() - self._opening.asked_for
        holdings = await self._credentials.held_by(self.holder.instance_url)
        await self._opening.take_up([holding for holding in holdings if holding.session_id not in granted], {})

    async def adopt(self, placed: Mapping[str, int | None]) -> None:
        """Hold those of these sessions, by id and with their workspace, that have a login and that nobody holds."""
        await self.lease.trusted()
        room = max(0, self.policy.sessions_max - len(self._sessions))
        await self._opening.take_up((await self._credentials.unheld(placed))[:room], placed)

    async def shutdown(self) -> None:
        """Stop every session, politely and in bounded time; they stay held by this address for the next boot."""
        if self._taking_up is not None:
            self._taking_up.cancel()
        await asyncio.gather(*(held.stop() for held in self.sessions()))
        self._sessions.clear()

    # Sends

    async def send(self, session_id: str, message: Message, epoch: int | None = None) -> SendOutcome | NotFound:
        """Say something as the session. With ``epoch`` the caller says under which epoch it believes to be acting."""
        held = self._sessions.get(session_id)
        if held is None:
            return NotFound() if self.lease.may_act() else Paused()
        # What a boot that may not act knows of epochs is out of date.
        if self.lease.may_act() and (stale := await self._stale(held, epoch)) is not None:
            return stale
        return await held.send(message)

    async def upload(
        self, session_id: str, pieces: AsyncIterator[bytes], kind: MessageType
    ) -> Uploaded | NotConnected | NotFound:
        """Give WhatsApp a file over the session's connection, for a message of this kind."""
        held = self._sessions.get(session_id)
        return NotFound() if held is None else await held.upload(pieces, kind)

    async def show(self, session_id: str, sign: ChatSign) -> NotConnected | NotFound | None:
        """Show a sign to a chat, over the session's connection."""
        held = self._sessions.get(session_id)
        return NotFound() if held is None else await held.show_sign(sign)

    def download(self, session_id: str, reference: str) -> AsyncIterator[bytes] | NotConnected | NotFound:
        """A file that came with a message of the session, in pieces, which raise FileGone or ConnectionError."""
        held = self._sessions.get(session_id)
        return NotFound() if held is None else held.download(reference)

    # The lease

    async def review(self) -> None:
        """Leave the sessions that are not this boot's any more."""
        believed = [held for held in self.sessions() if held.grant is not None]
        grants = [held.grant for held in believed]
        really = await self._credentials.held_by_boot(self.holder)
        for held, grant in zip(believed, grants, strict=True):
            if grant is not None and held.epoch == grant.epoch and really.get(held.session_id) != grant.epoch:
                held.leave(None)

    async def redeclare(self) -> None:
        """Say again what this boot holds, and leave what was granted to others."""
        grants = {held.session_id: held.grant for held in self.sessions() if held.grant is not None}
        refused = await self._credentials.redeclare(list(grants.values()))
        for session_id, stale in refused.items():
            held = self._sessions.get(session_id)
            if held is not None and held.epoch == grants[session_id].epoch:
                held.leave(stale.current)

    async def hand_back(self) -> None:
        """Say what this boot holds, leave it all, and open again what is this address's, once that may be done."""
        here = {held.session_id: held.grant for held in self.sessions() if held.grant is not None}
        await self._credentials.redeclare(list((self._around.outlived | here).values()))
        self._around.outlived.clear()
        self.abandon()
        self._taking_up = asyncio.create_task(self._take_up_again())

    async def _take_up_again(self) -> None:
        while True:
            try:
                await self.restore()
                return
            except StoreUnavailable as problem:
                log.info("Sessions of this address are not opened again yet; trying again", error=str(problem))
            await self.clock.sleep(TAKE_UP_AGAIN_S)

    def abandon(self) -> None:
        """Leave every session."""
        for held in self.sessions():
            held.leave(None)
        self._sessions.clear()

    def pause(self) -> None:
        for held in self.sessions():
            held.pause()

    def resume(self) -> None:
        for held in self.sessions():
            held.go_on()

    # Steps

    def _kept(self, wanted: OpenRequest) -> HostedSession | StaleEpoch | None:
        """The session as it is held, if that is what is wanted."""
        held = self._sessions.get(wanted.session_id)
        if held is None or held.epoch is None:
            return None
        if wanted.epoch is not None and wanted.epoch < held.epoch:
            return StaleEpoch(held.epoch)
        stays = wanted.epoch == held.epoch or (wanted.epoch is None and not held.can_begin_again)
        return held if stays else None

    async def _stale(self, held: HostedSession, named: int | None) -> StaleEpoch | None:
        """The session's own epoch, to a caller that names another one.

        A higher one tells of a grant that we missed: the session says nothing more until the vault was asked, and is
        left if that is so.
        """
        own = held.epoch
        if named is None or own is None or named == own:
            return None
        if named > own:
            await held.doubt(DOUBT_WAIT_S)
        return StaleEpoch(own)

"""The session host: which sessions this instance holds, and what can be asked of them.

It knows neither HTTP nor files nor sockets: an engine, a vault, a lease, a clock and a source of chance are given to
it. What concerns one session id happens one thing at a time.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from weakref import WeakValueDictionary

from homing.instance.engine import Engine, PairingCode
from homing.instance.events import OnHostEvent, Status
from homing.instance.lease import Lease
from homing.instance.logins import Logins
from homing.instance.messages import Message, Paused, SendOutcome
from homing.instance.policy import HostPolicy
from homing.instance.rates import Rate
from homing.instance.session import HostedSession, Surroundings
from homing.model.vault import Grant, Holder, Holding, StaleEpoch, VaultSealed
from homing.ports import Clock, Credentials

log = logging.getLogger(__name__)
_SEED_SESSION_ID = re.compile(r"webjs_(\d+)_")
OPENED_AT_ONCE = 500
DOUBT_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class NotFound:
    """This instance does not hold the session."""


@dataclass(frozen=True, slots=True)
class Full:
    """This instance holds as many sessions as it may."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The session's credentials cannot be opened here, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session to be held, under this epoch; under the next one if none is named."""

    session_id: str
    workspace_id: int | None = None
    epoch: int | None = None


Started = HostedSession | StaleEpoch | Full | Sealed | Paused


class Host:
    """The sessions of this instance. ``on_event`` hears of what happens to them."""

    def __init__(
        self,
        engine: Engine,
        credentials: Credentials,
        lease: Lease,
        *,
        clock: Clock,
        random: Random,
        policy: HostPolicy | None = None,
        on_event: OnHostEvent | None = None,
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.policy = policy or HostPolicy()
        self.clock = clock
        self.sent = Rate(clock)
        self._credentials = credentials
        self._random = random
        self._sessions: dict[str, HostedSession] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._around = Surroundings(
            engine=engine,
            credentials=credentials,
            lease=lease,
            logins=Logins(self.policy.logins_per_s, clock),
            policy=self.policy,
            clock=clock,
            random=random,
            sent=self.sent,
            on_event=on_event,
            on_left=self._left,
        )

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
        (started,) = await self.start_many([Wanted(session_id, workspace_id, epoch)])
        return started

    async def start_many(self, wanted: Sequence[Wanted], *, wait_s: float | None = None) -> list[Started]:
        """The same for many, each of them once, with one word to the vault; in the order of ``wanted``."""
        by_id = {each.session_id: each for each in wanted}
        async with self._turns_of(by_id):
            staying = {each.session_id: kept for each in by_id.values() if (kept := self._kept(each)) is not None}
            opened = await self._open([each for each in by_id.values() if each.session_id not in staying])
        started: dict[str, Started] = {**staying, **opened}
        await self._settled(started.values(), wait_s)
        return [started[each.session_id] for each in wanted]

    async def restart(self, session_id: str, workspace_id: int | None, epoch: int | None = None) -> Started:
        """Stop the session if it is held, and hold it anew under a new epoch."""
        async with self._turn(session_id):
            held = self._sessions.get(session_id)
            if held is not None and held.epoch is not None and epoch is not None and epoch <= held.epoch:
                return StaleEpoch(held.epoch)
            opened = await self._open([Wanted(session_id, workspace_id, epoch)])
        await self._settled(opened.values(), None)
        return opened[session_id]

    async def stop(self, session_id: str, epoch: int | None = None) -> bool | StaleEpoch:
        """Let the session go, its login untouched; False if it is not held here.

        Whoever names another epoch means another holding: nothing is stopped.
        """
        async with self._turn(session_id):
            held = self._sessions.get(session_id)
            if held is None:
                return False
            if (stale := await self._stale(held, epoch)) is not None:
                return stale
            await held.stop()
            if held.grant is not None:
                await self._credentials.release([held.grant])
            self._left(held)
            return True

    async def logout(self, session_id: str, epoch: int | None = None) -> HostedSession | NotFound | StaleEpoch:
        """Unlink the session's device; its status tells whether that could be done. ``epoch`` is as in ``stop``."""
        async with self._turn(session_id):
            held = self._sessions.get(session_id)
            if held is None:
                return NotFound()
            if (stale := await self._stale(held, epoch)) is not None:
                return stale
            await held.logout()
            return held

    async def renew_code(self, session_id: str) -> PairingCode | Status | NotFound | None:
        """A fresh pairing code; the status instead, if the session has no use for one.

        A session that is logged out begins to pair, under a new epoch: whoever asks for a code wants it linked again.
        """
        held = self._sessions.get(session_id)
        if held is None:
            return NotFound()
        if held.status is not Status.LOGGED_OUT:
            return await held.renew_code() or held.status
        await held.logout()
        again = await self.restart(session_id, held.workspace_id)
        return again.pairing or again.status if isinstance(again, HostedSession) else held.status

    async def restore(self) -> None:
        """Hold again what an earlier boot of this instance held.

        A session that was granted to another holder since is left to it, and one that was granted to this very boot
        to whoever is about to start it.
        """
        await self.lease.trusted()
        granted = await self._credentials.held_by_boot(self.holder)
        holdings = await self._credentials.held_by(self.holder.instance_url)
        await self._take_up([holding for holding in holdings if holding.session_id not in granted], {})

    async def adopt(self, placed: Mapping[str, int | None]) -> None:
        """Hold those of these sessions, by id and with their workspace, that have a login and that nobody holds."""
        await self.lease.trusted()
        room = max(0, self.policy.sessions_max - len(self._sessions))
        await self._take_up((await self._credentials.unheld(placed))[:room], placed)

    async def shutdown(self) -> None:
        """Stop every session, politely and in bounded time; they stay held by this address for the next boot."""
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

    def _kept(self, wanted: Wanted) -> HostedSession | StaleEpoch | None:
        """The session as it is held, if that is what is wanted."""
        held = self._sessions.get(wanted.session_id)
        if held is None or held.epoch is None:
            return None
        if wanted.epoch is not None and wanted.epoch < held.epoch:
            return StaleEpoch(held.epoch)
        stays = wanted.epoch == held.epoch or (wanted.epoch is None and not held.can_begin_again)
        return held if stays else None

    async def _open(self, wanted: Collection[Wanted]) -> dict[str, Started]:
        """Open these in the vault and let them come up. What is held under an earlier epoch ends first."""
        fitting, full = self._fitting(wanted)
        before = {each.session_id: held for each in fitting if (held := self._sessions.get(each.session_id))}
        await asyncio.gather(*(held.close() for held in before.values()))
        holder = self.holder
        try:
            answers = await self._opened(fitting, holder)
        except Exception:
            for held in before.values():
                held.reopen()
            raise
        for each in fitting:
            answer = answers[each.session_id]
            full[each.session_id] = self._begun(each, answer, before.get(each.session_id))
        return full

    async def _opened(
        self, wanted: Collection[Wanted], holder: Holder
    ) -> Mapping[str, Grant | StaleEpoch | VaultSealed]:
        epochs = {each.session_id: each.epoch for each in wanted}
        return await self._credentials.open_many(epochs, holder=holder) if epochs else {}

    def _fitting(self, wanted: Collection[Wanted]) -> tuple[list[Wanted], dict[str, Started]]:
        """Those for which there is room, and the answer to the others."""
        room = self.policy.sessions_max - len(self._sessions)
        fitting, full = [], dict[str, Started]()
        for each in wanted:
            new = each.session_id not in self._sessions
            if new and room <= 0:
                full[each.session_id] = Full()
                continue
            room -= new
            fitting.append(each)
        return fitting, full

    def _begun(
        self, wanted: Wanted, answer: Grant | StaleEpoch | VaultSealed, before: HostedSession | None
    ) -> Started:
        match answer:
            case StaleEpoch(current):
                if before is not None and current > (before.epoch or 0):
                    before.leave(current)
                elif before is not None:
                    before.reopen()
                return answer
            case VaultSealed():
                if before is not None:
                    before.reopen()
                log.error("session %s: %s", wanted.session_id, answer)
                return Sealed(str(answer))
            case Grant():
                return self._held(wanted, answer, before)

    def _held(self, wanted: Wanted, grant: Grant, before: HostedSession | None) -> HostedSession | Paused:
        if before is not None:
            before.cut()
        if grant.holder != self.holder:  # this boot was declared ended while the vault was asked
            return Paused()
        session = HostedSession(
            wanted.session_id, wanted.workspace_id or _workspace(wanted.session_id), self._around
        )
        self._sessions[wanted.session_id] = session
        session.begin(grant, Status.AUTHENTICATED if grant.login else None, before)
        return session

    async def _settled(self, started: Iterable[Started], wait_s: float | None) -> None:
        within_s = self.policy.login_wait_s if wait_s is None else min(wait_s, self.policy.login_wait_s)
        await asyncio.gather(*(each.settled(within_s) for each in started if isinstance(each, HostedSession)))

    async def _take_up(self, holdings: Sequence[Holding], workspaces: Mapping[str, int | None]) -> None:
        missing = [holding for holding in holdings if holding.session_id not in self._sessions]
        for holding in missing:
            workspace = workspaces.get(holding.session_id) or _workspace(holding.session_id)
            self._sessions[holding.session_id] = HostedSession(holding.session_id, workspace, self._around)
        expected = {holding: self._sessions[holding.session_id] for holding in missing}
        for first in range(0, len(missing), OPENED_AT_ONCE):
            some = missing[first : first + OPENED_AT_ONCE]
            await self._restore({holding: expected[holding] for holding in some})
        await asyncio.gather(*(session.settled(self.policy.login_wait_s) for session in expected.values()))

    async def _restore(self, expected: Mapping[Holding, HostedSession]) -> None:
        async with self._turns_of(holding.session_id for holding in expected):
            still = {
                holding: session
                for holding, session in expected.items()
                if self._sessions.get(holding.session_id) is session
            }
            # Exactly the next epoch: if someone was granted the session meanwhile, it is refused to us.
            wanted = [Wanted(holding.session_id, None, holding.epoch + 1) for holding in still]
            holder = self.holder
            try:
                answers = await self._opened(wanted, holder)
            except Exception:
                for session in still.values():
                    self._left(session)
                raise
            for holding, session in still.items():
                answer = answers[holding.session_id]
                if isinstance(answer, Grant) and answer.holder == self.holder:
                    session.begin(answer)
                    continue
                self._left(session)
                if isinstance(answer, VaultSealed):
                    log.error("session %s is not restored: %s", holding.session_id, answer)

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

    def _left(self, session: HostedSession) -> None:
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]

    @asynccontextmanager
    async def _turns_of(self, session_ids: Iterable[str]) -> AsyncIterator[None]:
        """Everybody asks in the same order, so that nobody waits in a circle."""
        async with AsyncExitStack() as stack:
            for session_id in sorted(set(session_ids)):
                await stack.enter_async_context(self._turn(session_id))
            yield

    def _turn(self, session_id: str) -> asyncio.Lock:
        turn = self._turns.get(session_id)
        if turn is None:
            turn = self._turns[session_id] = asyncio.Lock()
        return turn


def _workspace(session_id: str) -> int | None:
    """The workspace that a session id of the seed's form ``webjs_{workspace}_...`` names."""
    named = _SEED_SESSION_ID.match(session_id)
    return int(named[1]) if named else None

"""The session host: which sessions this instance holds, and what can be asked of them.

It knows neither HTTP nor files nor sockets: an engine, a credentials store, a clock and a source of chance are
given to it. What concerns one session id happens one thing at a time.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from weakref import WeakValueDictionary

from homing.instance.credentials import Credentials, Grant, Holder, Holding, StaleEpoch
from homing.instance.engine import Engine, PairingCode
from homing.instance.events import OnHostEvent, Status
from homing.instance.policy import HostPolicy
from homing.instance.sending import Message, SendOutcome
from homing.instance.session import HostedSession, Surroundings

log = logging.getLogger(__name__)
_SEED_SESSION_ID = re.compile(r"webjs_(\d+)_")


@dataclass(frozen=True, slots=True)
class NotFound:
    """This instance does not hold the session."""


@dataclass(frozen=True, slots=True)
class Full:
    """This instance holds as many sessions as it may."""


class Host:
    """The sessions of one incarnation. ``clock`` gives unix seconds; ``on_event`` hears of what happens to them."""

    def __init__(
        self,
        engine: Engine,
        credentials: Credentials,
        holder: Holder,
        *,
        clock: Callable[[], float],
        random: Random,
        policy: HostPolicy | None = None,
        on_event: OnHostEvent | None = None,
    ) -> None:
        self.engine = engine
        self.holder = holder
        self.policy = policy or HostPolicy()
        self.clock = clock
        self._credentials = credentials
        self._random = random
        self._sessions: dict[str, HostedSession] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._around = Surroundings(engine, credentials, holder, self.policy, clock, random, on_event, self._left)

    def sessions(self) -> list[HostedSession]:
        return list(self._sessions.values())

    def find(self, session_id: str) -> HostedSession | None:
        return self._sessions.get(session_id)

    def new_message_id(self) -> str:
        """An id as WhatsApp's own clients make them: ``3EB0`` and 18 hexadecimal digits."""
        return f"3EB0{self._random.getrandbits(72):018X}"

    # Lifecycle

    async def start(
        self, session_id: str, workspace_id: int | None, epoch: int | None = None
    ) -> HostedSession | StaleEpoch | Full:
        """Hold the session; one that is held already at that epoch stays as it is.

        Returns once it is connected or shows a code, or after ``login_wait_s``. Raises ``OSError`` when the
        credentials store is not available.
        """
        async with self._turn(session_id):
            held = self._sessions.get(session_id)
            if held is not None and held.epoch is not None:
                if epoch is not None and epoch < held.epoch:
                    return StaleEpoch(held.epoch)
                if epoch == held.epoch or (epoch is None and not held.can_begin_again):
                    return held
            started = await self._open(session_id, workspace_id, epoch)
        return await self._settled(started)

    async def restart(
        self, session_id: str, workspace_id: int | None, epoch: int | None = None
    ) -> HostedSession | StaleEpoch | Full:
        """Stop the session if it is held, and hold it anew under a new epoch."""
        async with self._turn(session_id):
            started = await self._open(session_id, workspace_id, epoch)
        return await self._settled(started)

    async def stop(self, session_id: str, epoch: int | None = None) -> bool | StaleEpoch:
        """Let the session go, its login untouched; False if it is not held here.

        Whoever names an epoch below its own means an earlier holding, which is over: nothing is stopped.
        """
        async with self._turn(session_id):
            held = self._sessions.get(session_id)
            if held is None:
                return False
            if (stale := _stale(held, epoch)) is not None:
                return stale
            await held.stop()
            if held.grant is not None:
                await self._credentials.release(held.grant)
            self._left(held)
            return True

    async def logout(self, session_id: str, epoch: int | None = None) -> HostedSession | NotFound | StaleEpoch:
        """Unlink the session's device; its status tells whether that could be done. ``epoch`` is as in ``stop``."""
        async with self._turn(session_id):
            held = self._sessions.get(session_id)
            if held is None:
                return NotFound()
            if (stale := _stale(held, epoch)) is not None:
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
        """Hold again what an earlier boot of this instance held, a bounded number of logins at a time.

        A session that was granted to another holder since is left to it.
        """
        await self._take_up(await self._credentials.held_by(self.holder.instance_url), {})

    async def adopt(self, placed: Mapping[str, int | None]) -> None:
        """Hold those of these sessions, by id and with their workspace, that have a login and that nobody holds."""
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
            return NotFound()
        if epoch is not None and held.epoch is not None and epoch != held.epoch:
            return await self._doubted(held, held.epoch, epoch)
        return await held.send(message)

    async def _doubted(self, held: HostedSession, own: int, named: int) -> StaleEpoch:
        """A caller that names a higher epoch knows of a grant that we missed: look, and let go if that is so."""
        if named > own:
            try:
                held.leave(max(own, await self._credentials.epoch(held.session_id)))
            except OSError as problem:
                log.warning("session %s: its epoch could not be read: %s", held.session_id, problem)
        return StaleEpoch(own)

    # Steps

    async def _open(
        self, session_id: str, workspace_id: int | None, epoch: int | None
    ) -> HostedSession | StaleEpoch | Full:
        held = self._sessions.get(session_id)
        if held is None and len(self._sessions) >= self.policy.sessions_max:
            return Full()
        grant = await self._credentials.open(session_id, epoch=epoch, holder=self.holder)
        if isinstance(grant, StaleEpoch):
            if held is not None:
                held.leave(grant.current)
            return grant
        if held is not None:
            await held.stop()
        session = HostedSession(session_id, workspace_id or _workspace(session_id), self._around)
        self._sessions[session_id] = session
        session.begin(grant, Status.AUTHENTICATED if grant.login else None)
        return session

    async def _settled(self, started: HostedSession | StaleEpoch | Full) -> HostedSession | StaleEpoch | Full:
        if isinstance(started, HostedSession):
            await started.settled(self.policy.login_wait_s)
        return started

    async def _take_up(self, holdings: list[Holding], workspaces: Mapping[str, int | None]) -> None:
        missing = [holding for holding in holdings if holding.session_id not in self._sessions]
        for holding in missing:
            self._sessions[holding.session_id] = self._expected(holding, workspaces)
        gate = asyncio.Semaphore(self.policy.parallel_logins)
        await asyncio.gather(*(self._restore(holding, gate) for holding in missing))

    async def _restore(self, holding: Holding, gate: asyncio.Semaphore) -> None:
        expected = self._sessions[holding.session_id]
        async with gate:
            async with self._turn(holding.session_id):
                if self._sessions.get(holding.session_id) is not expected:
                    return
                # Exactly the next epoch: if someone was granted the session meanwhile, it is refused to us.
                grant = await self._granted(holding)
                if grant is None:
                    self._left(expected)
                    return
                expected.begin(grant)
            await expected.settled(self.policy.login_wait_s)

    async def _granted(self, holding: Holding) -> Grant | None:
        try:
            grant = await self._credentials.open(holding.session_id, epoch=holding.epoch + 1, holder=self.holder)
        except OSError as problem:
            log.warning("session %s is not restored: %s", holding.session_id, problem)
            return None
        return None if isinstance(grant, StaleEpoch) else grant

    def _expected(self, holding: Holding, workspaces: Mapping[str, int | None]) -> HostedSession:
        workspace = workspaces.get(holding.session_id) or _workspace(holding.session_id)
        return HostedSession(holding.session_id, workspace, self._around)

    def _left(self, session: HostedSession) -> None:
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]

    def _turn(self, session_id: str) -> asyncio.Lock:
        turn = self._turns.get(session_id)
        if turn is None:
            turn = self._turns[session_id] = asyncio.Lock()
        return turn


def _stale(held: HostedSession, named: int | None) -> StaleEpoch | None:
    """The session's own epoch, to a caller that names an earlier one."""
    return StaleEpoch(held.epoch) if named is not None and held.epoch is not None and named < held.epoch else None


def _workspace(session_id: str) -> int | None:
    """The workspace that a session id of the seed's form ``webjs_{workspace}_...`` names."""
    named = _SEED_SESSION_ID.match(session_id)
    return int(named[1]) if named else None

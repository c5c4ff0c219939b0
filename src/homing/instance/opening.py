"""Opening sessions in the vault, many with one word to it, and letting them come up. One thing at a time for each."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog

from homing.instance.notify.events import Status
from homing.instance.session.context import SessionContext
from homing.instance.session.messages import Paused
from homing.instance.session.session import HostedSession
from homing.model.instances.vault import Grant, Holding, StaleEpoch, VaultSealed

log = structlog.get_logger("homing")
_WEBJS_SESSION_ID = re.compile(r"webjs_(\d+)_")
AT_ONCE = 500
"""Sessions that one word to the vault may be about when there are many to restore."""


@dataclass(frozen=True, slots=True)
class InstanceFull:
    """This instance holds as many sessions as it may."""


@dataclass(frozen=True, slots=True)
class CredentialsSealed:
    """The session's credentials cannot be opened here, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A session to be held, under this epoch; under the next one if none is named."""

    session_id: str
    workspace_id: int | None = None
    epoch: int | None = None


Started = HostedSession | StaleEpoch | InstanceFull | CredentialsSealed | Paused
Answer = Grant | StaleEpoch | VaultSealed


class Opening:
    """``sessions`` are those that this instance holds, or is about to."""

    def __init__(self, around: SessionContext) -> None:
        self._around = around
        self.sessions: dict[str, HostedSession] = {}
        self.asked_for: set[str] = set()
        """Sessions that were to be restored, where the answer was never heard: the vault may have given them to us."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, session_id: str) -> asyncio.Lock:
        """Whoever has it is alone with the session."""
        turn = self._turns.get(session_id)
        if turn is None:
            turn = self._turns[session_id] = asyncio.Lock()
        return turn

    @asynccontextmanager
    async def turns(self, session_ids: Iterable[str]) -> AsyncIterator[None]:
        """The same for many. Everybody asks in the same order, so that nobody waits in a circle."""
        async with AsyncExitStack() as stack:
            for session_id in sorted(set(session_ids)):
                await stack.enter_async_context(self.turn(session_id))
            yield

    async def open(self, wanted: Collection[OpenRequest]) -> dict[str, Started]:
        """Hold these anew. What is held under an earlier epoch ends first; if it cannot be opened, it goes on.

        Raises StoreUnavailable.
        """
        fitting, opened = self._fitting(wanted)
        before = {each.session_id: held for each in fitting if (held := self.sessions.get(each.session_id))}
        await asyncio.gather(*(held.close() for held in before.values()))
        try:
            answers = await self._answers(fitting)
        except Exception:
            for held in before.values():
                held.reopen()
            raise
        for each in fitting:
            opened[each.session_id] = self._begun(each, answers[each.session_id], before.get(each.session_id))
        return opened

    async def take_up(self, holdings: Sequence[Holding], workspaces: Mapping[str, int | None]) -> None:
        """Hold these under the next epoch, each unless it was granted to somebody since. Raises StoreUnavailable."""
        expected = {holding: self._expected(holding, workspaces) for holding in holdings if self._is_new(holding)}
        missing = list(expected)
        for first in range(0, len(missing), AT_ONCE):
            await self._restore({holding: expected[holding] for holding in missing[first : first + AT_ONCE]})
        await self.settled(session for session in expected.values() if session.epoch is not None)

    async def settled(self, started: Iterable[object], wait_s: float | None = None) -> None:
        """Returns once the sessions among these are up or have failed to come up, or when the time is over."""
        within_s = self._around.policy.login_wait_s
        within_s = within_s if wait_s is None else min(wait_s, within_s)
        await asyncio.gather(*(each.settled(within_s) for each in started if isinstance(each, HostedSession)))

    def left(self, session: HostedSession) -> None:
        """It is not held here any more."""
        if self.sessions.get(session.session_id) is session:
            del self.sessions[session.session_id]

    # Opening

    def _fitting(self, wanted: Collection[OpenRequest]) -> tuple[list[OpenRequest], dict[str, Started]]:
        """Those for which there is room, and the answer to the others."""
        room = self._around.policy.sessions_max - len(self.sessions)
        fitting, full = [], dict[str, Started]()
        for each in wanted:
            new = each.session_id not in self.sessions
            if new and room <= 0:
                full[each.session_id] = InstanceFull()
                continue
            room -= new
            fitting.append(each)
        return fitting, full

    async def _answers(self, wanted: Collection[OpenRequest]) -> Mapping[str, Answer]:
        epochs = {each.session_id: each.epoch for each in wanted}
        return await self._around.credentials.open_many(epochs, holder=self._around.lease.holder) if epochs else {}

    def _begun(self, wanted: OpenRequest, answer: Answer, before: HostedSession | None) -> Started:
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
                log.error(
                    "Session is not opened: its credentials are sealed under another key",
                    session_id=wanted.session_id,
                    error=str(answer),
                )
                return CredentialsSealed(str(answer))
            case Grant():
                return self._held(wanted, answer, before)

    def _held(self, wanted: OpenRequest, grant: Grant, before: HostedSession | None) -> HostedSession | Paused:
        if before is not None:
            before.cut()
        if not self._is_ours(grant):
            return Paused()
        session = self._new(wanted.session_id, wanted.workspace_id)
        session.begin(grant, Status.AUTHENTICATED if grant.login else None, before)
        return session

    def _is_ours(self, grant: Grant) -> bool:
        """Unless this boot was declared ended while the vault was asked."""
        return grant.holder == self._around.lease.holder

    def _new(self, session_id: str, workspace_id: int | None) -> HostedSession:
        session = HostedSession(session_id, workspace_id or _workspace(session_id), self._around, self.left)
        self.sessions[session_id] = session
        return session

    # Taking up what is expected here

    def _is_new(self, holding: Holding) -> bool:
        return holding.session_id not in self.sessions

    def _expected(self, holding: Holding, workspaces: Mapping[str, int | None]) -> HostedSession:
        return self._new(holding.session_id, workspaces.get(holding.session_id))

    async def _restore(self, expected: Mapping[Holding, HostedSession]) -> None:
        async with self.turns(holding.session_id for holding in expected):
            still = {at: session for at, session in expected.items() if self.sessions.get(at.session_id) is session}
            # Exactly the next epoch: if someone was granted the session meanwhile, it is refused to us.
            self.asked_for.update(at.session_id for at in still)
            try:
                answers = await self._answers([OpenRequest(at.session_id, None, at.epoch + 1) for at in still])
            except Exception:
                for session in expected.values():
                    self.left(session)
                raise
            self.asked_for.difference_update(at.session_id for at in still)
            for at, session in still.items():
                self._restored(session, answers[at.session_id])

    def _restored(self, session: HostedSession, answer: Answer) -> None:
        if isinstance(answer, Grant) and self._is_ours(answer):
            session.begin(answer)
            return
        self.left(session)
        if isinstance(answer, VaultSealed):
            log.error(
                "Session is not restored: its credentials are sealed under another key",
                session_id=session.session_id,
                error=str(answer),
            )


def _workspace(session_id: str) -> int | None:
    """The workspace that a session id of the form ``webjs_{workspace}_...`` names."""
    named = _WEBJS_SESSION_ID.match(session_id)
    return int(named[1]) if named else None

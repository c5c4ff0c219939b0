"""Going up one rung for one deaf session: noted before it is done, so that nobody does it twice.

A job is claimed by one gateway at a time. If that is killed in the middle, the next one finds the rung begun and leaves
it at that: what the rung did shows in what comes.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, assert_never

import structlog

from homing.decide.hearing import standing
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.listings import Lists
from homing.flows.hearing.judging import told
from homing.flows.moves.requests import MoveRequests
from homing.model.alerts import AlertKind, Subject
from homing.model.errors import Problem
from homing.model.fleet import Account, InstanceUrl, SessionId, SessionList
from homing.model.sessions.hearing import Hearing, HearingCase, HearingRecord, Rung, RungHistory
from homing.model.work import Job
from homing.ports import Clock, Directory
from homing.ports.sessions.hearing import Hearings

log = structlog.get_logger("homing")

TURN_WAITS_S = 120.0
"""For so long a rung waits for its session's turn, where an instance starts few in a minute."""
Resubscribe = Callable[[InstanceUrl, SessionId], Awaitable[str]]
Recycle = Callable[[InstanceUrl, str], Awaitable[str]]


class Reopens(Protocol):
    """Closes and opens sessions where they are."""

    async def restart(self, account: Account, why: str, *, waits_s: float) -> Account: ...


async def _cannot(_: InstanceUrl, __: str) -> str:
    return "nothing here can do that"


class Climbing:
    """Does the jobs that judging enters."""

    def __init__(
        self,
        store: Hearings,
        directory: Directory,
        lists: Lists,
        restarts: Reopens,
        wishes: MoveRequests,
        alerts: AlertBook,
        clock: Clock,
        *,
        resubscribe: Resubscribe = _cannot,
        recycle: Recycle = _cannot,
    ) -> None:
        self._store, self._directory, self._lists, self._restarts = store, directory, lists, restarts
        self._wishes, self._alerts, self._clock = wishes, alerts, clock
        self._resubscribe, self._recycle = resubscribe, recycle

    async def do(self, job: Job) -> str:
        """Go up the rung, unless that is not wanted any more. Raises StoreUnavailable."""
        session, rung = SessionId(job.payload["session_id"]), Rung(job.payload["rung"])
        case = await self._store.case(session)
        if case is None or case.record.hearing is not Hearing.DEAF:
            return f"{rung.value} is not wanted any more"
        begun = [each for each in case.record.tried if each.rung is rung and each.began_at >= case.record.since_at]
        if begun:
            return f"{rung.value} was begun already, and is not repeated"
        record = standing.began(case.record, rung, self._clock.now())
        if not await self._store.keep(record, version=case.version, climbed=_history(case, record, job)):
            return f"{session} was judged anew meanwhile"
        log.warning("Deaf session: a rung is tried", session_id=session, rung=rung.value, reason=job.payload["reason"])
        result = await self._tried(case, rung, job.payload["reason"])
        record = standing.ended(record, rung, self._clock.now(), result)
        if not await self._store.keep(record, version=case.version + 1, climbed=_history(case, record, job)):
            log.warning("What a rung came to could not be kept", session_id=session, rung=rung.value, result=result)
        self._alerts.raised(AlertKind.DEAF, Subject.session(session), told(record))
        return f"{rung.value}: {result}"

    async def _tried(self, case: HearingCase, rung: Rung, reason: str) -> str:
        """What the rung came to, in a few words."""
        try:
            match rung:
                case Rung.CHECK:
                    return await self._checked(case)
                case Rung.RESUBSCRIBE:
                    return await self._resubscribe(case.instance_url, case.session_id)
                case Rung.RECONNECT | Rung.RESTART:
                    return await self._restarted(case, reason)
                case Rung.REHOME:
                    return await self._rehomed(case, reason)
                case Rung.RECYCLE:
                    return await self._recycle(case.instance_url, reason)
                case Rung.ALERT:
                    return "a person is told"
                case _:
                    assert_never(rung)
        except Problem as problem:
            return f"failed: {problem.detail}"

    async def _checked(self, case: HearingCase) -> str:
        listing = await self._lists.read(case.instance_url)
        if not isinstance(listing, SessionList):
            return f"its instance gave no list: {listing.category}"
        row = listing.sessions.get(case.session_id)
        return "its instance does not list it" if row is None else f"its instance calls it {row.status.value}"

    async def _restarted(self, case: HearingCase, reason: str) -> str:
        found = await self._directory.accounts_of([case.session_id])
        if not found:
            return "its account is gone"
        again = await self._restarts.restart(found[0], f"deaf; {reason}", waits_s=TURN_WAITS_S)
        return f"it is {again.status.value}"

    async def _rehomed(self, case: HearingCase, reason: str) -> str:
        at = case.placement
        wish = MoveRequest(case.session_id, MoveCause.BALANCE, reason, at.instance_url, at.epoch)
        return "it is to be opened elsewhere" if await self._wishes.want([wish]) else "it was to move already"


def _history(case: HearingCase, record: HearingRecord, job: Job) -> RungHistory:
    """The newest rung of a record, as the history has it."""
    reason = job.payload["reason"]
    at = case.instance_url
    return RungHistory(case.session_id, case.account_id, case.workspace_id, at, record.tried[-1], reason)

"""Sessions through which one send after the other fails although their instance calls them connected.

Some gateways go on listing a session whose engine is dead. Its sends are the only ones that tell: after a few in a row
the session is looked at, an alert stands until one succeeds, and it is restarted where it is held, seldom. A send that
succeeds costs a look into a dictionary.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from homing.decide.knowledge import doubt
from homing.decide.knowledge.doubt import Doubtful, NoDoubt
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.listings import Lists
from homing.model.alerts import AlertKind, Subject
from homing.model.errors import Problem
from homing.model.fleet import Account, Capabilities, InstanceMode, InstanceUrl, SessionId, SessionList
from homing.model.sends.faults import Fault
from homing.ports import Clock, Directory, Fleet, StoreUnavailable
from homing.ports.sessions.doubts import RestartClaims

log = structlog.get_logger("homing")

REMEMBERED_MAX = 10_000
"""Failing sessions that are counted at once. Beyond, the one counted longest is forgotten."""
ASK_WITHIN_S = 5.0
AGAIN_AFTER_S = 1.0


class Restarts(Protocol):
    """Closes and opens sessions where they are."""

    async def restart(self, account: Account) -> Account: ...


@dataclass(slots=True)
class _Failing:
    url: InstanceUrl
    count: int
    last: str


class Doubts:
    """Hears how sends ended. `after`: so many failed ones in a row make a session doubtful."""

    def __init__(
        self,
        directory: Directory,
        claims: RestartClaims,
        lists: Lists,
        fleet: Fleet,
        restarts: Restarts,
        alerts: AlertBook,
        clock: Clock,
        *,
        after: int,
    ) -> None:
        self._directory, self._claims, self._lists, self._fleet = directory, claims, lists, fleet
        self._restarts, self._alerts, self._clock, self._after = restarts, alerts, clock, after
        self._failing: dict[SessionId, _Failing] = {}
        self._looking: set[SessionId] = set()
        self.sent: Callable[[SessionId], None] = lambda _: None
        """Hears of every send that succeeded."""
        self.is_judged_so: Callable[[SessionId], bool] = lambda _: False
        """Whether the session is doubtful for what comes of it, too: then a send that succeeds does not end that."""
        self._waiting: asyncio.Queue[tuple[SessionId, _Failing]] = asyncio.Queue()

    def worked(self, session: SessionId) -> None:
        """A send through the session succeeded."""
        self.sent(session)
        if self._failing:
            self._failing.pop(session, None)
        if self._alerts.any_stands and not self.is_judged_so(session):
            self._alerts.resolved(AlertKind.DOUBTFUL, Subject.session(session))
            self._alerts.held(session)

    def failed(self, session: SessionId, url: InstanceUrl, fault: Fault) -> None:
        """A send through the session at the instance ended with this."""
        if not doubt.speaks_of_session(fault.phase):
            return
        known = self._failing.pop(session, None)
        count = known.count + 1 if known is not None and known.url == url else 1
        self._failing[session] = failing = _Failing(url, count, str(fault))
        if len(self._failing) > REMEMBERED_MAX:
            self._failing.pop(next(iter(self._failing)))
        if count % self._after == 0 and session not in self._looking:
            self._looking.add(session)
            self._waiting.put_nowait((session, failing))

    async def run(self) -> None:
        """Look after doubtful sessions until cancelled."""
        async with asyncio.TaskGroup() as looks:
            while True:
                session, failing = await self._waiting.get()
                looks.create_task(self._look_once(session, failing))

    async def _look_once(self, session: SessionId, failing: _Failing) -> None:
        try:
            await self.look(session, failing.url, failing.count, failing.last)
        except StoreUnavailable as error:
            log.warning("A doubtful session waits for the store", session_id=session, error=str(error))
            await self._clock.sleep(AGAIN_AFTER_S)
        except Exception:
            log.exception("A doubtful session could not be looked after", session_id=session)
        finally:
            self._looking.discard(session)

    async def look(self, session: SessionId, url: InstanceUrl, failed: int, last: str) -> None:
        """Judge it by the instance's own list, read now. Raises StoreUnavailable."""
        found = await self._directory.accounts_of([session])
        if not found:
            return
        account, listing = found[0], await self._lists.read(url)
        row = listing.sessions.get(session) if isinstance(listing, SessionList) else None
        can = await self._fleet.capabilities(url, timeout_s=ASK_WITHIN_S)
        instance = self._fleet.roster.instances.get(url)
        judged = doubt.judge(
            account,
            url,
            row,
            failed=failed,
            last=last,
            can=can if isinstance(can, Capabilities) else None,
            mode=instance.mode if instance is not None else InstanceMode.OBSERVE,
        )
        if session not in self._failing:
            return  # one succeeded while we looked
        match judged:
            case NoDoubt(reason=reason):
                self._failing.pop(session, None)
                log.info("Failing session is not doubtful", session_id=session, url=url, reason=reason)
            case Doubtful(restart=restart, reason=reason):
                self._alerts.raised(AlertKind.DOUBTFUL, Subject.session(session), reason, url=url)
                if restart:
                    await self._restart(account, url, reason)

    async def _restart(self, account: Account, url: InstanceUrl, reason: str) -> None:
        session = account.session_id
        if not await self._claims.claim_restart(session, every_s=doubt.RESTART_EVERY_S):
            return
        log.warning("Doubtful session is restarted where it is", session_id=session, url=url, reason=reason)
        self._failing.pop(session, None)
        try:
            await self._restarts.restart(account)
        except Problem as problem:
            log.warning("Doubtful session could not be restarted", session_id=session, url=url, reason=problem.detail)

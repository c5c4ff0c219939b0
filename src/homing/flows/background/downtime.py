"""Keeping the downtime ledger: what every gateway sees of the sessions, and the first of them writes down."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from homing.decide.knowledge import downtime
from homing.decide.knowledge.standing import Standing
from homing.model.fleet import Account, SessionStatus
from homing.model.ids import SessionId
from homing.model.sends.sending import FailureCode, NotSent, Outcome
from homing.model.sessions.downtime import Outage
from homing.ports import Clock, StoreUnavailable
from homing.ports.sessions.downtime import DowntimeLedger

log = structlog.get_logger("homing")

EVERY_S = 1.0
COMPARE_EVERY_S = 60.0
"""So often what lasts by the ledger is held against what is seen: a gateway may have died with an end untold."""
KEPT = timedelta(days=400)
AT_ONCE = 10_000
_NOT_THE_SESSIONS = frozenset(
    {
        FailureCode.MESSAGE_REJECTED,
        FailureCode.RECIPIENT_RESTRICTED,
        FailureCode.UNSUPPORTED_TYPE,
        FailureCode.UNSUPPORTED_RECIPIENT,
        FailureCode.INSTANCE_OBSERVED,
        FailureCode.ACCOUNT_NOT_PLACED,
        FailureCode.SESSION_STOPPED,
    }
)
"""What says something of the message or of what somebody wanted, and nothing of how the session was."""


class DowntimeBook:
    """Hears how sessions stand and how sends ended. Nothing waits for it, and what cannot be written waits in it."""

    def __init__(self, ledger: DowntimeLedger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._down: dict[SessionId, str] = {}
        self._seen: set[SessionId] = set()
        self._ended: dict[SessionId, datetime] = {}
        self._begun: dict[SessionId, Outage] = {}
        self._being_written: dict[SessionId, Outage] = {}
        self._over: list[Outage] = []
        self._failed: Counter[SessionId] = Counter()
        self._complete = False
        self._compare_at_s = self._prune_at_s = float("-inf")

    # --- hearing ----------------------------------------------------------------------------------------------

    def stands(self, account: Account, status: SessionStatus, standing: Standing) -> None:
        """So a session is now."""
        session, now = account.session_id, self._clock.now()
        placed = account.placement.instance_url is not None
        reason = downtime.reason_down(standing, status, placed=placed, epoch=account.placement.epoch)
        self._seen.add(session)
        before = self._down.get(session)
        if reason == before:
            return
        if before is not None:
            self._end(session, now)
        if reason is not None:
            self._down[session] = reason
            begun = Outage(session, account.id, account.workspace_id, reason, now, continues=before is not None)
            self._begun[session] = begun

    def gone(self, session: SessionId) -> None:
        """There is no such session any more."""
        self._seen.discard(session)
        if session in self._down:
            self._end(session, self._clock.now())

    def all_told(self) -> None:
        """Every session was told of once: what else lasts by the ledger does not."""
        self._complete = True

    def sent(self, session: SessionId, outcome: Outcome) -> None:
        """So a send ended."""
        if isinstance(outcome, NotSent) and outcome.code not in _NOT_THE_SESSIONS:
            self._failed[session] += 1

    def _end(self, session: SessionId, at: datetime) -> None:
        """What nobody has written down yet is written as a whole."""
        del self._down[session]
        begun = self._begun.pop(session, None)
        if begun is None or self._being_written.get(session) == begun:
            self._ended[session] = at
        elif len(self._over) < AT_ONCE:
            self._over.append(replace(begun, ended_at=at))

    # --- writing ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                await self.write()
            except StoreUnavailable as error:
                log.debug("The downtime ledger is written later", error=str(error))

    async def write(self) -> None:
        """Write what was heard, and now and then compare and forget. Raises StoreUnavailable; then nothing is lost."""
        await self._note()
        now_s = self._clock.monotonic()
        if self._complete and now_s >= self._compare_at_s:
            self._compare_at_s = now_s + COMPARE_EVERY_S
            await self._compare()
        if now_s >= self._prune_at_s:
            self._prune_at_s = now_s + 3_600
            await self._ledger.prune(before=self._clock.now() - KEPT, limit=AT_ONCE)

    async def _note(self) -> None:
        ended, begun, failed = dict(self._ended), dict(self._begun), Counter(self._failed)
        over = list(self._over)
        self._being_written = begun
        try:
            await self._ledger.note(ended, [*over, *begun.values()], failed, at=self._clock.now())
        except StoreUnavailable:
            self._was_not_written(begun)
            raise
        finally:
            self._being_written = {}
        self._ended = {session: at for session, at in self._ended.items() if ended.get(session) != at}
        self._begun = {session: each for session, each in self._begun.items() if begun.get(session) != each}
        self._over = self._over[len(over) :]
        self._failed -= failed

    def _was_not_written(self, begun: Mapping[SessionId, Outage]) -> None:
        """What ended while it was to be written has nothing in the ledger that could end."""
        for session, outage in begun.items():
            ended_at = self._ended.get(session)
            if self._begun.get(session) != outage and ended_at is not None and ended_at >= outage.began_at:
                del self._ended[session]
                self._over.append(replace(outage, ended_at=ended_at))

    async def _compare(self) -> None:
        """What lasts by the ledger and is up, or is not there any more, has ended by now."""
        now = self._clock.now()
        old = now - timedelta(seconds=COMPARE_EVERY_S / 2)  # what began just now another gateway may have seen first
        over = [
            each.session_id
            for each in await self._ledger.lasting()
            if each.session_id not in self._down and each.began_at < old
        ]
        if over:
            await self._ledger.note(dict.fromkeys(over, now), (), {}, at=now)

"""Keeping the audit log: its chain, its retention, and the proof that it is what was written."""

from datetime import timedelta

import structlog

from homing.decide.access.audit import ChainKeys, Walk
from homing.flows.background.alerts import AlertBook, Unkept
from homing.model.alerts import FLEET, AlertKind
from homing.model.directory.audit import Broken, ChainVerdict
from homing.model.work import Tick
from homing.ports import Audit, Clock, StoreUnavailable

log = structlog.get_logger("homing")

EVERY_MINUTE = "* * * * *"
AT_ONCE = 500
_PAGE = 1_000
_PAUSE_S = 0.005
_TRIES = 3
_BEFORE_ALL = -(2**62)
"""Below any id, also one that only somebody else could have given."""


class AuditBroken(Exception):
    """The chain cannot go on. The message says where, and why."""


class Auditing:
    """What one gateway at a time does with the log, and what any of them can be asked of it."""

    def __init__(
        self,
        audit: Audit,
        clock: Clock,
        keys: ChainKeys,
        *,
        keep_days: float = 0.0,
        alerts: AlertBook | None = None,
    ) -> None:
        """Without `keep_days`, entries are kept for ever."""
        self._alerts = alerts or AlertBook(Unkept(), clock)
        self._audit, self._clock, self._keys, self._keep_days = audit, clock, keys, keep_days

    async def tick(self, _: Tick) -> str:
        """Tie what is new to the chain, then remove what is old. An alert while that is not so: AuditBroken."""
        try:
            chained = await self._chained()
            self._alerts.resolved(AlertKind.AUDIT_STOPPED, FLEET)
            removed = await self._pruned()
        except AuditBroken as error:
            self._alerts.raised(AlertKind.AUDIT_STOPPED, FLEET, str(error))
            raise
        except StoreUnavailable as error:
            return f"it waits for the next minute: {error}"
        return f"{chained} entries chained, {removed} removed"

    async def verify(self) -> ChainVerdict:
        """Go along the whole log. Raises StoreUnavailable."""
        for attempt in range(1, _TRIES + 1):
            before = await self._audit.marks()
            verdict = await self._walked()
            # Retention may have taken entries from under our feet: then it is not broken, only looked at too slowly.
            if verdict.holds or attempt == _TRIES or before == await self._audit.marks():
                return verdict
        raise AssertionError("every try returns")

    async def _chained(self) -> int:
        total = 0
        while True:
            chained = await self._audit.chain(AT_ONCE)
            if isinstance(chained, Broken):
                raise AuditBroken(f"entry {chained.entry_id} of the audit log: {chained.reason}")
            if chained.entries and chained.head is not None:
                # In the log of the process, which goes elsewhere: it proves what the database held by now.
                log.info("Audit log chained", entry=chained.head.entry_id, chain=chained.head.chain)
            total += chained.entries
            if chained.entries < AT_ONCE:
                return total
            await self._clock.sleep(_PAUSE_S)

    async def _pruned(self) -> int:
        if not self._keep_days:
            return 0
        before, total = self._clock.now() - timedelta(days=self._keep_days), 0
        while True:
            removed = await self._audit.prune(before, AT_ONCE)
            total += removed
            if removed < AT_ONCE:
                return total
            await self._clock.sleep(_PAUSE_S)

    async def _walked(self) -> ChainVerdict:
        start, head = await self._audit.marks()
        walk, behind = Walk(start, head, self._keys), _BEFORE_ALL
        while True:
            page = await self._audit.behind(behind, _PAGE)
            for entry in page:
                walk.step(entry)
            if len(page) < _PAGE:
                return walk.end()
            behind = page[-1].id
            await self._clock.sleep(_PAUSE_S)

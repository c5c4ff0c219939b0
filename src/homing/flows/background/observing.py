"""Instances that are only observed: what would have been done there is written down, and is not done.

Whoever wants something done asks here first. That nothing reaches such an instance is not left to this:
`homing.drivers.around.observed` sends nothing there, whoever asks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from homing.decide.knowledge import observation
from homing.decide.moves.next_step import MoveRequest
from homing.flows.moves.requests import MoveRequests
from homing.model.alerts import About, AlertKind, Subject
from homing.model.fleet import InstanceLoad, InstanceMode, InstanceUrl, SessionId
from homing.model.instances.observing import Agreement, ObservationReport, Watched, WouldHave, WouldKind
from homing.ports import Clock, Notice, PlacementChanged, Roster, StoreUnavailable
from homing.ports.instances.watch_log import WatchLog

log = structlog.get_logger("homing")

KEPT = timedelta(days=30)
WRITE_EVERY_S = 1.0
TIDY_EVERY_S = 3_600.0
AGAIN_AFTER_S = 60.0
"""What is called for again and again for one reason is written down so often at most."""
WAITING_MAX = 10_000
"""Entries that wait to be written; beyond, new ones are dropped and counted."""
_TIDY_AT_ONCE = 5_000

NOT_RAISED = frozenset({
    AlertKind.SESSION_UNREACHABLE,
    AlertKind.SESSION_MISSING,
    AlertKind.LEFT_WHERE_IT_IS,
    AlertKind.NO_CAPACITY,
    AlertKind.INSTANCE_GONE,
})  # fmt: skip
"""Alerts that call for something to be done with a session. That a gateway changed, refuses our key, or has somebody
else's phone is raised all the same: whoever observes has to know."""

_Key = tuple[InstanceUrl, WouldKind, SessionId]


class Observing:
    """Knows which instances are observed, and keeps the log of what was seen and would have been done."""

    def __init__(self, watch_log: WatchLog, roster: Callable[[], Roster], clock: Clock) -> None:
        self._log, self._roster, self._clock = watch_log, roster, clock
        self._would: dict[_Key, WouldHave] = {}
        self._watched: list[Watched] = []
        self._written: dict[_Key, tuple[str, float]] = {}
        self._dropped = 0
        self._tidied_s = float("-inf")

    def observes(self, url: InstanceUrl | None) -> bool:
        """Whether nothing may be done on this instance."""
        known = self._roster().instances.get(url) if url is not None else None
        return known is not None and known.mode is InstanceMode.OBSERVE

    # --- what would have been done ------------------------------------------------------------------------------

    def would(self, kind: WouldKind, url: InstanceUrl, session_id: SessionId, reason: str) -> None:
        """This would have been done now. Costs nothing while it was written down a moment ago."""
        key, now_s = (url, kind, session_id), self._clock.monotonic()
        written = self._written.get(key)
        if written is not None and written[0] == reason and now_s - written[1] < AGAIN_AFTER_S:
            return
        if len(self._would) >= WAITING_MAX:
            self._dropped += 1
            return
        if len(self._written) >= WAITING_MAX:
            self._written.clear()
        self._written[key] = reason, now_s
        at, before = self._clock.now(), self._would.get(key)
        new = WouldHave(url, kind, session_id, reason, at, at)
        self._would[key] = new if before is None else replace(before, reason=reason, last_at=at, times=before.times + 1)

    def spares(self, kind: AlertKind, subject: Subject, reason: str, told: Mapping[str, Any]) -> bool:
        """Whether an alert is not raised, because it is about an observed instance: then it is written down."""
        if kind not in NOT_RAISED:
            return False
        url = _instance_of(subject, told)
        if url is None or not self.observes(url):
            return False
        session = SessionId(subject.name if subject.about is About.SESSION else "")
        self.would(WouldKind.ALERT, url, session, f"{kind.value}: {reason}")
        return True

    def gate(self, wishes: MoveRequests) -> MoveRequests:
        """The same, for wishes that nobody asked for: those about sessions of observed instances are not entered."""
        return _Gate(self, wishes)

    def hear(self, notice: Notice) -> None:
        """A record that followed what was seen, from or to an observed instance, is a correction."""
        if not isinstance(notice, PlacementChanged) or None in (notice.old_url, notice.new_url):
            return
        if notice.old_url == notice.new_url:
            return
        for url in (notice.old_url, notice.new_url):
            if url is not None and self.observes(url):
                reason = f"recorded on {notice.old_url}, found on {notice.new_url}"
                self.would(WouldKind.CORRECTION, url, notice.session_id, reason)

    # --- what was seen ------------------------------------------------------------------------------------------

    def watched(self, seen: Watched) -> None:
        """A list was compared with the record, or could not be read."""
        if self.observes(seen.instance_url) and len(self._watched) < WAITING_MAX:
            self._watched.append(seen)

    async def reports(self, loads: Sequence[InstanceLoad], *, since: timedelta = KEPT) -> list[ObservationReport]:
        """How each instance's observation stands. Raises StoreUnavailable."""
        await self.flush()
        at = self._clock.now() - since
        agreements, counts = await self._log.agreements(since=at), await self._log.counts(since=at)
        return [self._report(load, agreements, counts) for load in loads]

    async def newest(self, url: InstanceUrl | None, *, limit: int) -> Sequence[WouldHave]:
        """What would have been done lately, on one instance or on all. Raises StoreUnavailable."""
        await self.flush()
        return await self._log.would_haves(url, since=self._clock.now() - KEPT, limit=limit)

    def _report(
        self,
        load: InstanceLoad,
        agreements: Mapping[InstanceUrl, Agreement],
        counts: Mapping[InstanceUrl, Mapping[WouldKind, int]],
    ) -> ObservationReport:
        url = load.instance.url
        known = self._roster().instances.get(url, load.instance)
        agreement, would = agreements.get(url, Agreement()), counts.get(url, {})
        advice = observation.advise(url, known.mode, agreement, would)
        return ObservationReport(
            url, known.driver, known.mode, load.sessions, agreement, dict(would), advice.ready, advice.reason
        )

    # --- writing ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write down what is new, and forget what is old, until cancelled."""
        while True:
            await self._clock.sleep(WRITE_EVERY_S)
            try:
                await self.flush()
                await self._tidy()
            except StoreUnavailable as error:
                log.warning("What was seen of observed instances could not be written down", error=str(error))

    async def flush(self) -> None:
        """Write down what is new, now. Raises StoreUnavailable."""
        if not self._would and not self._watched:
            return
        would, self._would = self._would, {}
        watched, self._watched = self._watched, []
        dropped, self._dropped = self._dropped, 0
        try:
            await self._log.note(list(would.values()), watched)
        except StoreUnavailable:
            self._would, self._watched = {**would, **self._would}, [*watched, *self._watched]
            raise
        if dropped:
            log.warning("More would have been done on observed instances than is written down", dropped=dropped)

    async def _tidy(self) -> None:
        if self._clock.monotonic() - self._tidied_s < TIDY_EVERY_S:
            return
        self._tidied_s = self._clock.monotonic()
        while await self._log.prune(before=self._clock.now() - KEPT, limit=_TIDY_AT_ONCE) >= _TIDY_AT_ONCE:
            await self._clock.sleep(0.1)


def _instance_of(subject: Subject, told: Mapping[str, Any]) -> InstanceUrl | None:
    """Which instance an alert is about: as its subject, or where its session is, as it is told."""
    name = subject.name if subject.about is About.INSTANCE else told.get("url") or told.get("assigned_url")
    return InstanceUrl(name) if isinstance(name, str) and name else None


class _Gate:
    """Wishes, but for those that concern observed instances."""

    def __init__(self, observing: Observing, wishes: MoveRequests) -> None:
        self._observing, self._wishes = observing, wishes

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        allowed: list[MoveRequest] = []
        for wish in wishes:
            url = next((each for each in (wish.from_url, wish.to_url) if self._observing.observes(each)), None)
            if url is None:
                allowed.append(wish)
                continue
            kind = WouldKind.START if wish.to_url == wish.from_url else WouldKind.MOVE
            self._observing.would(kind, url, wish.session_id, wish.reason)
        return await self._wishes.want(allowed) if allowed else 0

"""Raising and resolving alerts: one log line for each, the metric, and what `attention` shows.

Whoever sees a condition says so as often as it likes, without waiting: what is known already costs nothing. What is
new is written down a little later, for the other gateways and for the next boot.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog

from homing.model.alerts import GUIDES, OF_ONE_GATEWAY, Alert, AlertKind, Severity, Subject
from homing.model.fleet import SessionId
from homing.ports import Alerts, AlertsChanged, CacheCleared, Clock, Notice, StoreUnavailable

log = structlog.get_logger("homing")

STANDING_MAX = 10_000
"""Alerts that are known at once. Beyond, new ones are logged and not kept."""
GATHER_S = 0.2
READ_EVERY_S = 15.0
AFFIRM_EVERY_S = 15.0
UNSAID_S = 90.0
STORE_PAUSE_S = 1.0

_Named = tuple[Subject, AlertKind]
_DISPROVED = (AlertKind.SESSION_UNREACHABLE, AlertKind.LEFT_WHERE_IT_IS, AlertKind.NO_CAPACITY)
"""What cannot be so of a session that is where its record says, and can send."""


Spares = Callable[[AlertKind, Subject, str, Mapping[str, Any]], bool]
"""Whether an alert is not to be raised, of its kind, about its subject, for its reason, with what was told of it."""


class Unkept:
    """Nobody shares these alerts: they are logged, and stand in this process alone."""

    async def standing(self, *, limit: int) -> list[Alert]:  # noqa: ARG002 - there are none
        return []

    async def change(self, raised: Collection[Alert], resolved: Collection[_Named]) -> None:
        """Nothing is written down."""

    async def affirm(self, named: Collection[_Named]) -> None:
        """Nothing either."""

    async def expire(self, *, after_s: float) -> list[_Named]:  # noqa: ARG002 - there are none
        return []


class AlertBook:
    """The alerts that stand, as this gateway knows them."""

    def __init__(self, store: Alerts, clock: Clock, spares: Spares = lambda *_: False) -> None:
        """`spares` says of which alerts nobody is to hear: those about instances that are only observed."""
        self._store, self._clock, self._spares = store, clock, spares
        self._standing: dict[_Named, Alert] = {}
        self._unwritten: dict[_Named, Alert | None] = {}
        self._own: set[_Named] = set()
        self._affirm_at_s = float("-inf")
        self._work = asyncio.Event()
        self._stale = True
        self._store_is_away = False

    def raised(self, kind: AlertKind, subject: Subject, reason: str, **told: Any) -> None:
        """The condition stands, for this reason. `told` goes into the log line, once."""
        known = self._standing.get((subject, kind))
        if kind in OF_ONE_GATEWAY:
            self._own.add((subject, kind))
        if known is not None and known.reason == reason:
            return
        if self._spares(kind, subject, reason, told):
            return
        if known is None:
            _log_raised(kind, subject, reason, told)
            if len(self._standing) >= STANDING_MAX:
                return
        raised_at = known.raised_at if known is not None else self._clock.now()
        self._enter((subject, kind), Alert(kind, subject, reason, raised_at))

    def resolved(self, kind: AlertKind, subject: Subject) -> None:
        """The condition does not stand (any more)."""
        self._own.discard((subject, kind))
        known = self._standing.get((subject, kind))
        if known is not None:
            log.info("Alert resolved", kind=kind.value, **_named(subject), title=GUIDES[kind].title)
            self._enter((subject, kind), None)

    @property
    def any_stands(self) -> bool:
        return bool(self._standing)

    def held(self, session: SessionId) -> None:
        """The session is where its record says, and can send. Costs nothing while nothing stands."""
        if self._standing:
            for kind in _DISPROVED:
                self.resolved(kind, Subject.session(session))

    def forget(self, subject: Subject) -> None:
        """What the alerts were about does not exist any more."""
        for known in self.of(subject):
            self.resolved(known.kind, subject)

    def of(self, subject: Subject) -> Sequence[Alert]:
        """What stands about it, the oldest first."""
        about = [known for kind in AlertKind if (known := self._standing.get((subject, kind))) is not None]
        return sorted(about, key=lambda alert: alert.raised_at)

    def standing(self) -> Sequence[Alert]:
        """All that stand."""
        return list(self._standing.values())

    def counts(self) -> Mapping[AlertKind, int]:
        """How many of each kind stand."""
        return Counter(alert.kind for alert in self._standing.values())

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, AlertsChanged | CacheCleared):
            self._stale = True
            self._work.set()

    async def run(self) -> None:
        """Write down what is new, and read what other gateways wrote, until cancelled."""
        while True:
            try:
                await self._write()
                await self._affirm()
                if self._stale:
                    await self.refresh()
                self._store_is_away = False
            except StoreUnavailable as error:
                if not self._store_is_away:
                    log.warning("Alerts cannot be written down or read; tried again until they are", error=str(error))
                self._store_is_away = True
                await self._clock.sleep(STORE_PAUSE_S)
                continue
            try:
                async with asyncio.timeout(READ_EVERY_S):
                    await self._work.wait()
            except TimeoutError:
                self._stale = True
            self._work.clear()
            await self._clock.sleep(GATHER_S)

    async def refresh(self) -> None:
        """Know what stands by the directory, with what is not written down yet. Raises StoreUnavailable."""
        self._stale = False
        known = {(alert.subject, alert.kind): alert for alert in await self._store.standing(limit=STANDING_MAX)}
        for named, alert in self._unwritten.items():
            if alert is None:
                known.pop(named, None)
            else:
                known[named] = alert
        self._standing = known

    async def flush(self) -> None:
        """Write down what is new, now. Raises StoreUnavailable."""
        await self._write()

    async def _affirm(self) -> None:
        """Say again what only this gateway knows, and take back what another one says no more: it may be dead."""
        now_s = self._clock.monotonic()
        if now_s < self._affirm_at_s:
            return
        await self._store.affirm(self._own)
        for subject, kind in await self._store.expire(after_s=UNSAID_S):
            log.info("Alert resolved", kind=kind.value, **_named(subject), title="its gateway says so no more")
            self._standing.pop((subject, kind), None)
        self._affirm_at_s = now_s + AFFIRM_EVERY_S

    async def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        raised = [alert for alert in unwritten.values() if alert is not None]
        resolved = [named for named, alert in unwritten.items() if alert is None]
        try:
            await self._store.change(raised, resolved)
        except StoreUnavailable:
            self._unwritten = {**unwritten, **self._unwritten}
            raise

    def _enter(self, named: _Named, alert: Alert | None) -> None:
        if alert is None:
            self._standing.pop(named, None)
        else:
            self._standing[named] = alert
        self._unwritten[named] = alert
        self._work.set()


def _log_raised(kind: AlertKind, subject: Subject, reason: str, told: Mapping[str, Any]) -> None:
    guide = GUIDES[kind]
    line = log.error if guide.severity is Severity.CRITICAL else log.warning
    line(guide.title, alert=True, kind=kind.value, **_named(subject), **told, reason=reason, do=guide.do)


def _named(subject: Subject) -> dict[str, str]:
    """As log lines name it."""
    name = {"session": "session_id", "instance": "url"}.get(subject.about.value, subject.about.value)
    return {name: subject.name} if subject.name else {}

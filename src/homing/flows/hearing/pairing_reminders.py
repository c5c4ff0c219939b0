"""Telling whoever hears of alerts that a phone has waited for too long to be linked."""

from collections.abc import AsyncIterator
from datetime import timedelta

from homing.decide.hearing.judgment import span
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Account, SessionStatus
from homing.model.work import Tick
from homing.ports import Clock, Directory, Outbox, Page

_PAGE = 200
_TOLD_MAX = 1_000


class PairingReminders:
    """Raises an alert for each session that waits, which goes to all receivers, and resolves it once it does not."""

    def __init__(
        self, directory: Directory, outbox: Outbox, alerts: AlertBook, clock: Clock, *, after_s: float
    ) -> None:
        """`after_s` is how long one waits before it is told; 0: it never is."""
        self._directory, self._outbox, self._alerts, self._clock = directory, outbox, alerts, clock
        self._after = timedelta(seconds=after_s)

    async def tick(self, _: Tick) -> str:
        """Raises StoreUnavailable."""
        if not self._after:
            return "nobody is reminded of phones that are not linked"
        told = {Subject.session(each.session_id) async for each in self._late()}
        for alert in self._alerts.standing():
            if alert.kind is AlertKind.PAIRING_WAITS and alert.subject not in told:
                self._alerts.resolved(AlertKind.PAIRING_WAITS, alert.subject)
        return f"{len(told)} phones have waited to be linked for more than {span(self._after)}"

    async def _late(self) -> AsyncIterator[Account]:
        """Those that wait for too long, each told."""
        now, told = self._clock.now(), 0
        async for account in self._waiting():
            since = account.status_at or account.created_at
            if now - since < self._after or told >= _TOLD_MAX:
                continue
            waiting = sum((await self._outbox.waiting(account.uuid)).values())
            behind = f"{waiting} messages wait for it" if waiting else "no message waits for it"
            why = (
                f"account {account.id} ({account.phone}) waits to be linked since {since:%Y-%m-%d %H:%M} UTC; {behind}"
            )
            self._alerts.raised(AlertKind.PAIRING_WAITS, Subject.session(account.session_id), why)
            told += 1
            yield account

    async def _waiting(self) -> AsyncIterator[Account]:
        for status in (SessionStatus.PAIRING, SessionStatus.LOGGED_OUT):
            after = 0
            while rows := await self._directory.accounts(None, Page(after, _PAGE), status=status):
                for row in rows:
                    yield row
                after = rows[-1].id

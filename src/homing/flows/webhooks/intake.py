"""Taking in what instances report: stored first, once, and only then acted upon."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from homing.decide.reports import meanings, settling
from homing.decide.reports.hints import Hint
from homing.flows.sending.own_messages import Said
from homing.flows.webhooks.hints import Hints
from homing.model.instances.events import DeliveryEvidence, Event, Meaning, Report, Signed, Taken
from homing.model.instances.report_body import BIG
from homing.ports import Clock, Entropy, Events, StoreUnavailable
from homing.ports.aside import Aside, at_once

log = structlog.get_logger("homing")

PRUNE_EVERY_S = 60.0
PRUNED_AT_ONCE = 1_000


KeepsFiles = Callable[[Report], Awaitable[Report]]
"""Keeps the file in a report, and names it in its place."""


async def as_it_is(report: Report) -> Report:
    return report


class Intake:
    """Stores reports and follows the hints among them."""

    def __init__(
        self,
        store: Events,
        hints: Hints,
        said: Said,
        clock: Clock,
        entropy: Entropy,
        *,
        keep_days: float,
        aside: Aside = at_once,
        heard: Iterable[Callable[[Event], None]] = (),
        files: KeepsFiles = as_it_is,
    ) -> None:
        """`aside` does what takes long with a large report. `heard` are told of each event that is news, once it is
        stored: they do not wait, and do not raise."""
        self._store, self._hints, self._said = store, hints, said
        self._clock, self._entropy, self._keep_days, self._aside = clock, entropy, keep_days, aside
        self.heard, self._files = list(heard), files

    async def take(self, report: Report, signed: Signed | None) -> Taken:
        """Store the report unless it is there, settling the unknown send that it tells of. Raises StoreUnavailable.

        A settled message that had an idempotency key is answered 200 from then on, although its stored answer was 202.
        """
        report = await self._files(report)
        is_big = report.size > BIG
        kept, meaning = await self._aside(partial(_understood, report)) if is_big else _understood(report)
        taken = await self._store.store(
            kept,
            event_id=self._entropy.uuid(),
            at=self._clock.now(),
            meaning=meaning,
            signed=signed,
            sign=self._sign(report),
        )
        if self._is_to_be_followed(report, taken):
            self._follow(report)
        if taken.event is not None:
            for each in self.heard:
                each(taken.event)
        return taken

    async def run(self) -> None:
        """Forget what is old, until cancelled."""
        while True:
            await self._clock.sleep(PRUNE_EVERY_S)
            now = self._clock.now()
            try:
                keep_since = now - timedelta(days=self._keep_days)
                while await self._store.prune(now, keep_since=keep_since, limit=PRUNED_AT_ONCE) >= PRUNED_AT_ONCE:
                    await self._clock.sleep(0.1)
            except StoreUnavailable as error:
                log.warning("Old events could not be deleted", error=str(error))

    def _is_to_be_followed(self, report: Report, taken: Taken) -> bool:
        """Whoever repeats a report under its own id did not hear that we had it; so perhaps nobody followed it."""
        if taken.event is None:
            return report.sender_id is not None
        return taken.event.account_uuid is not None or bool(report.namesakes)

    def _follow(self, report: Report) -> None:
        if report.session_id is not None and report.kind in meanings.FOLLOWED:
            phone = report.data.get("phone_number")
            told = phone if isinstance(phone, str) and phone else None
            for session in (report.session_id, *report.namesakes):
                self._hints.offer(Hint(session, report.kind, report.instance_url, told))

    def _sign(self, report: Report) -> DeliveryEvidence | None:
        """What the report says of a message that went out; without its words if another send accounts for them."""
        sign = settling.sign_of(report.kind, report.session_id, report.data)
        if sign is not None and self._said.explains(sign):
            return replace(sign, text=None)
        return sign


def _understood(report: Report) -> tuple[Report, Meaning]:
    """The report as it is kept, and what makes it the occurrence that it is."""
    kept = meanings.bounded(report.data, is_big=report.size > BIG)
    return replace(report, data=kept), meanings.meaning(report)

"""Checking the whole fleet against the directory, and mending the directory.

Every instance is asked once for its list, a bounded number at a time. What the list and the directory agree on is
noted and dropped, so that a million sessions pass through in little memory; what is left is judged together, changed
in batches by compare-and-set, and announced with one notice a batch.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import structlog

from homing.decide.knowledge import reconcile, sync
from homing.decide.knowledge.reconcile import Observations
from homing.decide.knowledge.stray_sessions import Owner
from homing.decide.knowledge.sync import ATTENTION, Checked, Comparison, SyncResult
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery import phones
from homing.flows.discovery.claims import borne_out
from homing.flows.discovery.corrections import correct
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.flows.discovery.stray_sessions import StraySessions, StraysFound
from homing.model.alerts import About, Alert, AlertKind, Subject
from homing.model.fleet import (
    Account,
    InstanceUrl,
    ListedSession,
    Listing,
    NoList,
    Placed,
    Placement,
    Route,
    SessionId,
    SessionList,
    SessionStatus,
)
from homing.model.instances.observing import Watched
from homing.ports import Clock, Directory, Entropy, Meters
from homing.ports.aside import Slices

log = structlog.get_logger("homing")

T = TypeVar("T")

BATCH = 1_000
AT_ONCE = 16
LINES_AT_ONCE = 20
"""Lines of the log that are written before others have their turn."""
TOLD_MAX = 10_000
"""Updates and sessions needing attention that a report names; beyond, they are only counted."""
SECOND_LOOK_AFTER_S = 1.0
TAKEN_BACK_SHOWN_S = 3_600.0
"""How long the alert about a session that was taken back stands: the condition itself is over with it."""


@dataclass(slots=True)
class SyncReport:
    """What one sync found and did. `told` names every session that was changed or needs attention."""

    run_id: str
    dry_run: bool
    found: int = 0
    counts: Counter[SyncResult] = field(default_factory=Counter)
    duplicates: int = 0
    told: list[Checked] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)
    strays: StraysFound = field(default_factory=StraysFound)
    instance_calls: int = 0
    execution_s: float = 0.0

    @property
    def updates(self) -> list[Checked]:
        return [checked for checked in self.told if checked.result is SyncResult.UPDATED]

    @property
    def needs_attention(self) -> bool:
        return self.duplicates > 0 or any(self.counts[result] for result in ATTENTION)

    @property
    def summary(self) -> str:
        """The counts, in one line."""
        counts = ", ".join(f"{self.counts[result]} {result.value}" for result in SyncResult)
        return f"{counts}, {self.duplicates} held twice, in {self.execution_s:.2f} s"


Tell = Callable[[Checked], None]


@dataclass(slots=True)
class _Left:
    """What the lists left open, gathered over all instances, and what they agreed upon, by name alone."""

    doubtful: set[SessionId] = field(default_factory=set)
    strangers: set[SessionId] = field(default_factory=set)
    fresh: set[SessionId] = field(default_factory=set)
    agreed: dict[InstanceUrl, set[SessionId]] = field(default_factory=dict)
    listings: dict[InstanceUrl, Listing] = field(default_factory=dict)
    strangers_of: dict[InstanceUrl, frozenset[SessionId]] = field(default_factory=dict)
    reported: dict[SessionId, tuple[InstanceUrl, str]] = field(default_factory=dict)
    mismatched: frozenset[SessionId] = frozenset()


class Sync:
    """Runs syncs. What one calls for is decided in `decide.sync`, as for every other observation."""

    def __init__(
        self,
        directory: Directory,
        lists: Lists,
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        identities: Identity | None = None,
        alerts: LinkAlerts | None = None,
        book: AlertBook | None = None,
        watched: Callable[[Watched], None] = lambda _: None,
    ) -> None:
        """`identities` hears which phones are reported for sessions, `watched` how each list agreed with the record."""
        self._watched = watched
        self._directory, self._lists, self._identity = directory, lists, identities
        self._strays = StraySessions(directory, lists)
        self._alerts, self._book = alerts or LinkAlerts(), book or AlertBook(Unkept(), clock)
        self._clock, self._entropy, self._meters = clock, entropy, meters

    async def run(
        self,
        *,
        dry_run: bool = False,
        force: bool = False,
        begin: Callable[[int], None] = lambda _: None,
        tell: Tell = lambda _: None,
    ) -> SyncReport:
        """One sync. `begin` hears how many sessions there are, `tell` each one's result as soon as it is known.

        Raises StoreUnavailable; what was changed until then stays changed, and the next run does the rest.
        """
        report = SyncReport(self._entropy.uuid(), dry_run)
        began_s = self._clock.monotonic()
        report.found = await self._directory.placed_count()
        begin(report.found)
        left = await self._compare_all(report, force=force, tell=tell)
        concluded = await self._conclude(left, report)
        applied = await self._apply(concluded, left, report, tell)
        await self._note_strays(concluded, applied, left, report)
        if self._identity is not None and not report.dry_run:
            await self._identity.compare(left.reported)
        report.execution_s = self._clock.monotonic() - began_s
        if not dry_run:
            await self._note_alerts(concluded, left, report)
        await self._log(report)
        return report

    async def _log(self, report: SyncReport) -> None:
        slices = Slices(self._clock, LINES_AT_ONCE)
        for checked in report.told:
            _log_one(checked, report)
            await slices.after()
        counts = {result.value: report.counts[result] for result in SyncResult}
        log.info(
            "Sync finished", run_id=report.run_id, dry_run=report.dry_run, execution_s=report.execution_s, **counts
        )

    # --- agreeing -----------------------------------------------------------------------------------------------

    async def _compare_all(self, report: SyncReport, *, force: bool, tell: Tell) -> _Left:
        """Every instance's list against its record, a few instances at a time."""
        left = _Left(mismatched=await self._identity.standing() if self._identity is not None else frozenset())
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(url: InstanceUrl) -> None:
            async with at_once:
                await self._compare(url, left, report, force=force, tell=tell)

        urls = self._lists.instances()
        await asyncio.gather(*(one(url) for url in urls))
        left.doubtful |= {placed.session_id for placed in await self._directory.placed_elsewhere(urls)}
        return left

    async def _compare(self, url: InstanceUrl, left: _Left, report: SyncReport, *, force: bool, tell: Tell) -> None:
        report.instance_calls += 1
        asked_s = self._clock.monotonic()
        listing = await self._lists.read(url)
        placed = await self._directory.placed_on(url)
        if isinstance(listing, NoList) and listing.fault is None:
            listing = await self._lists.each(url, [each.session_id for each in placed])
        compared = sync.compare(placed, listing, now=self._clock.now(), force=force)
        slices = Slices(self._clock)
        await slices.after(len(placed))
        if not report.dry_run:
            self._watched(_seen_of(placed, listing, compared, self._clock.now()))
            await slices.after(len(placed))
        await self._note_agreed(url, compared, report, tell, asked_s)
        left.doubtful |= {session.session_id for session in compared.doubtful}
        left.strangers |= compared.strangers
        if isinstance(listing, SessionList):
            left.strangers_of[url] = compared.strangers
            left.reported |= phones.worth_a_look(placed, listing, left.mismatched)
            await slices.after(len(placed))
        left.fresh |= {session.session_id for session in compared.fresh}
        left.agreed[url] = _agreed_names(compared, listing)
        left.listings[url] = sync.narrowed(
            listing, {*compared.strangers, *(each.session_id for each in compared.doubtful)}
        )
        _note_oddities(listing, report)

    async def _note_agreed(
        self, url: InstanceUrl, compared: Comparison, report: SyncReport, tell: Tell, asked_s: float
    ) -> None:
        report.counts[SyncResult.VERIFIED] += len(compared.verified)
        report.counts[SyncResult.SKIPPED] += len(compared.fresh)
        slices = Slices(self._clock)
        for session in compared.verified:
            tell(_agreed(session, url, SyncResult.VERIFIED, f"{url} has it, and it can send"))
            await slices.after()
        for session in compared.fresh:
            tell(_agreed(session, url, SyncResult.SKIPPED, "verified within the last minute"))
        if compared.verified and not report.dry_run:
            names = [each.session_id for each in compared.verified]
            self._alerts.connected(names)
            for name in names:
                self._book.held(name)
            ago_s = self._clock.monotonic() - asked_s
            await self._directory.mark_verified(names, self._clock.now(), ready_ago_s=ago_s)

    # --- judging ------------------------------------------------------------------------------------------------

    async def _conclude(self, left: _Left, report: SyncReport) -> list[Checked]:
        """Judge what the lists left open. A change away from a state that may pass is looked at a second time."""
        routes = await self._routes(left.doubtful | left.strangers)
        sessions = [route.session_id for route in routes]
        observed = await self._borne_out(reconcile.observe(_with_agreed(routes, left), sessions), routes, report)
        first = [sync.conclude(route, observed, seen_before=False) for route in routes]
        fleeting = [
            route
            for route, checked in zip(routes, first, strict=True)
            if checked.result is SyncResult.SKIPPED and sync.passing(route, observed)
        ]
        if not fleeting:
            return first
        again = await self._look_again(fleeting, observed, report)
        second = {route.session_id: sync.conclude(route, again, seen_before=True) for route in fleeting}
        return [second.get(checked.session_id, checked) for checked in first]

    async def _routes(self, sessions: Iterable[SessionId]) -> list[Route]:
        found: list[Route] = []
        for part in _batches(sorted(sessions)):
            found += await self._directory.routes(sessions=part)
        return found

    async def _look_again(self, routes: list[Route], observed: Observations, report: SyncReport) -> Observations:
        """The same sessions, by lists read anew from the instances that speak of them."""
        await self._clock.sleep(SECOND_LOOK_AFTER_S)
        sessions = [route.session_id for route in routes]
        speaking = sorted({url for session in sessions for url in observed.claims.get(session, {})})
        report.instance_calls += len(speaking)
        again = reconcile.observe({**observed.listings, **await self._lists.read_some(speaking)}, sessions)
        return await self._borne_out(again, routes, report)

    async def _borne_out(self, observed: Observations, routes: list[Route], report: SyncReport) -> Observations:
        book = None if report.dry_run else self._book
        placements = [route.placement for route in routes]
        return await borne_out(observed, placements, self._directory, book, all_asked=True)

    # --- changing -----------------------------------------------------------------------------------------------

    async def _apply(self, concluded: list[Checked], left: _Left, report: SyncReport, tell: Tell) -> set[SessionId]:
        applied = await self._rebind(concluded, report)
        for checked in concluded:
            if checked.rivals:
                report.duplicates += 1
                if not report.dry_run:
                    also = f"also on {', '.join(checked.rivals)}"
                    self._book.raised(AlertKind.DUPLICATE_HOLDER, Subject.session(checked.session_id), also)
            if _counted_before(checked, left):
                continue
            if checked.session_id in left.fresh:
                report.counts[SyncResult.SKIPPED] -= 1
            final = _final(checked, applied, report.dry_run)
            report.counts[final.result] += 1
            if final.result is not SyncResult.VERIFIED and len(report.told) < TOLD_MAX:
                report.told.append(final)
            tell(final)
        await self._note_verified(concluded, left, report)
        if not report.dry_run:
            await self._note_statuses(concluded)
        return applied

    async def _note_strays(
        self, concluded: list[Checked], applied: set[SessionId], left: _Left, report: SyncReport
    ) -> None:
        """What is listed and not placed there, after all that was corrected."""
        owners = {each.session_id: _owner(each, applied, report.dry_run) for each in concluded}
        rows = {
            url: [row for session in strangers if (row := listing.sessions.get(session)) is not None]
            for url, strangers in left.strangers_of.items()
            if isinstance(listing := left.listings[url], SessionList)
        }
        report.strays = await self._strays.among(rows, owners)
        if not report.dry_run:
            await self._directory.note_strays(report.strays.by_url or {})

    async def _rebind(self, concluded: list[Checked], report: SyncReport) -> set[SessionId]:
        changes = [checked.change for checked in concluded if checked.change is not None]
        if report.dry_run:
            return {change.session_id for change in changes}
        applied: set[SessionId] = set()
        for part in _batches(changes):
            applied |= await correct(self._directory, self._meters, part, run_id=report.run_id)
        return applied

    async def _note_alerts(self, concluded: Sequence[Checked], left: _Left, report: SyncReport) -> None:
        """Raise what is unreachable, and resolve what stood from before and is not so any more."""
        for checked in report.told:
            if checked.result in ATTENTION:
                self._unreachable(checked, report)
        for checked in concluded:
            if checked.result in (SyncResult.VERIFIED, SyncResult.UPDATED):
                self._book.held(checked.session_id)
        standing = [alert for alert in self._book.standing() if alert.subject.about is About.SESSION]
        if not standing:
            return
        known: dict[SessionId, Account] = {}
        for part in _batches(sorted({SessionId(alert.subject.name) for alert in standing})):
            known |= {account.session_id: account for account in await self._directory.accounts_of(part)}
        all_read = all(isinstance(listing, SessionList) for listing in left.listings.values())
        twice = {checked.session_id for checked in concluded if checked.rivals}
        for alert in standing:
            account = known.get(SessionId(alert.subject.name))
            if account is None:
                self._book.forget(alert.subject)
                continue
            session = account.session_id
            seen = _Seen(
                twice=session in twice or not all_read,
                disputed=session in left.strangers or session in left.doubtful or not all_read,
            )
            if _has_passed(alert, account, self._clock.now(), seen):
                self._book.resolved(alert.kind, alert.subject)

    def _unreachable(self, checked: Checked, report: SyncReport) -> None:
        self._book.raised(
            AlertKind.SESSION_UNREACHABLE,
            Subject.session(checked.session_id),
            checked.reason,
            account_id=checked.account_id,
            assigned_url=checked.old_url,
            result=checked.result.value,
            run_id=report.run_id,
        )

    async def _note_verified(self, concluded: list[Checked], left: _Left, report: SyncReport) -> None:
        """Sessions that are where the record says, found only with the other lists in hand."""
        found = [
            checked.session_id
            for checked in concluded
            if checked.result is SyncResult.VERIFIED and not _counted_before(checked, left)
        ]
        if found and not report.dry_run:
            await self._directory.mark_verified(found, self._clock.now())

    async def _note_statuses(self, concluded: list[Checked]) -> None:
        for checked in concluded:
            if checked.status is not None:
                ready = checked.status is SessionStatus.CONNECTED
                await self._directory.set_status(checked.session_id, checked.status, ready=ready)
                self._alerts.note(checked.session_id, checked.status, checked.reason)


def _owner(checked: Checked, applied: set[SessionId], dry_run: bool) -> Owner:
    url = checked.new_url if dry_run or checked.session_id in applied else checked.old_url
    return Owner(checked.account_id, checked.session_id, Placement(checked.session_id, url, state=checked.state))


def _seen_of(placed: Sequence[Placed], listing: Listing, compared: Comparison, at: datetime) -> Watched:
    """How the list agreed with the record."""
    if isinstance(listing, NoList):
        return Watched(listing.instance_url, at, failed=True)
    seen = sum(each.session_id in listing.sessions for each in placed)
    return Watched(listing.instance_url, at, len(placed), seen, len(compared.strangers))


def _agreed_names(compared: Comparison, listing: Listing) -> set[SessionId]:
    listed = listing.sessions if isinstance(listing, SessionList) else {}
    return {each.session_id for each in [*compared.verified, *compared.fresh] if each.session_id in listed}


def _with_agreed(routes: list[Route], left: _Left) -> dict[InstanceUrl, Listing]:
    """The narrowed lists, with the rows put back of sessions that their own instance and a stranger both claim."""
    listings = dict(left.listings)
    for route in routes:
        home = route.placement.instance_url
        listing = listings.get(home) if home is not None else None
        if isinstance(listing, SessionList) and route.session_id in left.agreed.get(listing.instance_url, ()):
            listing.sessions[route.session_id] = ListedSession(route.session_id, SessionStatus.CONNECTED)
    return listings


def _counted_before(checked: Checked, left: _Left) -> bool:
    """Agreed upon by its own instance: here only because another one names it too."""
    return checked.old_url is not None and checked.session_id in left.agreed.get(checked.old_url, ())


def _final(checked: Checked, applied: set[SessionId], dry_run: bool) -> Checked:
    """A change that did not hold was overtaken by another gateway's, and is left to the next run."""
    if checked.change is None or dry_run or checked.session_id in applied:
        return checked
    return replace(checked, result=SyncResult.SKIPPED, reason="its record changed while we looked", change=None)


def _agreed(session: Placed, url: InstanceUrl, result: SyncResult, reason: str) -> Checked:
    return Checked(session.account_id, session.phone, session.session_id, url, result, reason)


def _note_oddities(listing: Listing, report: SyncReport) -> None:
    match listing:
        case NoList(instance_url=url, reason=reason):
            report.oddities.append(f"{url} gave no list: {reason}")
        case SessionList(instance_url=url, oddities=oddities):
            report.oddities.extend(f"{url}: {oddity}" for oddity in oddities)


def _batches(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What all lists say of a session: several can send for it, or some do not say what the record does."""

    twice: bool
    disputed: bool


def _has_passed(alert: Alert, account: Account, now: datetime, seen: _Seen) -> bool:
    """Whether a session's alert stands for nothing any more, as far as a record and all lists can tell."""
    match alert.kind:
        case AlertKind.DUPLICATE_HOLDER:
            return not seen.twice
        case AlertKind.FALSE_CLAIM:
            return not seen.disputed
        case AlertKind.QUARANTINED:
            return account.status is not SessionStatus.QUARANTINED
        case AlertKind.TAKEN_BACK:
            return (now - alert.raised_at).total_seconds() > TAKEN_BACK_SHOWN_S
        case AlertKind.SESSION_UNREACHABLE | AlertKind.LEFT_WHERE_IT_IS | AlertKind.NO_CAPACITY:
            return not account.status.should_run
        case _:
            return False


def _log_one(checked: Checked, report: SyncReport) -> None:
    if checked.result is SyncResult.UPDATED:
        log.warning(
            "Would update instance URL" if report.dry_run else "Instance URL updated",
            account_id=checked.account_id,
            session_id=checked.session_id,
            old_url=checked.old_url,
            new_url=checked.new_url,
            reason=checked.reason,
            run_id=report.run_id,
        )
    elif checked.result in ATTENTION and report.dry_run:
        log.warning("Session unreachable", session_id=checked.session_id, reason=checked.reason, dry_run=True)

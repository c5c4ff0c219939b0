"""Following the hints of instances: look where the session really is, and let the directory say so.

Hints that come together are followed together: one *round* asks each instance concerned once for its list, whether one
session changed or all of an instance's. The lists go through the same judgment as every other observation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from homing.decide.knowledge import identity, reconcile
from homing.decide.knowledge.reconcile import AtHome, Contested, Judgement, PlacedElsewhere
from homing.decide.reports import hints
from homing.decide.reports.hints import Hint
from homing.decide.starting import linking
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery.claims import borne_out
from homing.flows.discovery.corrections import correct
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity, Reported
from homing.flows.discovery.wakeups import News
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Account, InstanceUrl, Listing, SessionId, SessionList, SessionStatus
from homing.ports import Clock, Directory, Entropy, Meters, StoreUnavailable

log = structlog.get_logger("homing")

WAITING_MAX = 10_000
"""Sessions with a hint that is not followed yet. Beyond, hints are left to the periodic sync."""
ROUNDS_AT_ONCE = 4
"""A silent instance keeps only its own round waiting."""
GATHER_S = 0.02
STORE_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A hint to be followed. `others` spoke of the session before it, and are asked as well."""

    hint: Hint
    looks: int = 0
    others: frozenset[InstanceUrl] = frozenset()

    @property
    def senders(self) -> set[InstanceUrl]:
        return {*self.others, *(() if self.hint.sender is None else (self.hint.sender,))}

    def and_then(self, later: "_Wanted") -> "_Wanted":
        """One hint for both; whoever spoke is asked."""
        kept = self if hints.newest(self.hint, later.hint) is self.hint else later
        return replace(kept, others=frozenset(self.senders | later.senders))


@dataclass(frozen=True, slots=True)
class _Looked:
    accounts: Mapping[SessionId, Account]
    judged: Mapping[SessionId, Judgement]
    corrected: set[SessionId]


class Hints:
    """Follows hints in the background, one at a time of each session."""

    def __init__(
        self,
        directory: Directory,
        lists: Lists,
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        news: News | None = None,
        identity: Identity | None = None,
        alerts: LinkAlerts | None = None,
        book: AlertBook | None = None,
    ) -> None:
        self._directory, self._lists, self._news = directory, lists, news or News()
        self._identity = identity
        self._clock, self._entropy, self._meters = clock, entropy, meters
        self._alerts, self._book = alerts or LinkAlerts(), book or AlertBook(Unkept(), clock)
        self._waiting: dict[SessionId, _Wanted] = {}
        self._later: set[SessionId] = set()
        self._some = asyncio.Event()
        self._free = asyncio.Semaphore(ROUNDS_AT_ONCE)

    def offer(self, hint: Hint) -> None:
        """Note a hint, to be followed soon, in place of an earlier one that says no more of the same session."""
        known = hint.session_id in self._waiting or hint.session_id in self._later
        if not known and len(self._waiting) + len(self._later) >= WAITING_MAX:
            log.warning("A hint is left to the periodic sync: too many wait", session_id=hint.session_id)
            return
        self._wait(hint.session_id, self._waiting.get(hint.session_id), _Wanted(hint))
        self._some.set()

    async def run(self) -> None:
        """Follow hints until cancelled."""
        async with asyncio.TaskGroup() as rounds:
            while True:
                await self._some.wait()
                await self._clock.sleep(GATHER_S)
                await self._free.acquire()
                self._some.clear()
                wanted, self._waiting = self._waiting, {}
                rounds.create_task(self._followed(wanted, rounds))

    async def _followed(self, wanted: Mapping[SessionId, _Wanted], rounds: asyncio.TaskGroup) -> None:
        try:
            looked = await self._round(wanted)
        except StoreUnavailable as error:
            log.warning("Hints wait for the store", sessions=len(wanted), error=str(error))
            self._later |= wanted.keys()
            rounds.create_task(self._again(wanted, STORE_PAUSE_S))
            return
        except Exception:
            log.exception("Hints could not be followed", sessions=len(wanted))
            return
        finally:
            self._free.release()
        for session, account in looked.accounts.items():
            each, home = wanted[session], account.placement.instance_url
            after_s = hints.look_again_after_s(
                each.hint,
                each.looks + 1,
                looked.judged[session],
                home,
                corrected=session in looked.corrected,
                ended=linking.has_ended(account.linking),
            )
            if after_s is not None:
                self._later.add(session)
                rounds.create_task(self._again({session: replace(each, looks=each.looks + 1)}, after_s))

    async def _again(self, earlier: Mapping[SessionId, _Wanted], after_s: float) -> None:
        """Look once more, together with what was said of the session meanwhile."""
        await self._clock.sleep(after_s)
        self._later -= earlier.keys()
        for session, again in earlier.items():
            self._wait(session, again, self._waiting.get(session))
        self._some.set()

    def _wait(self, session: SessionId, earlier: _Wanted | None, later: _Wanted | None) -> None:
        both = earlier.and_then(later) if earlier is not None and later is not None else earlier or later
        if both is not None:
            self._waiting[session] = both

    # --- one round ----------------------------------------------------------------------------------------------

    async def _round(self, wanted: Mapping[SessionId, _Wanted]) -> _Looked:
        found = await self._directory.accounts_of(wanted)
        accounts = {account.session_id: account for account in found}
        asked_s = self._clock.monotonic()
        listings = await self._lists.read_some(self._concerned(wanted, accounts))
        observed = reconcile.observe(listings, accounts)
        placements = [account.placement for account in found]
        observed = await borne_out(observed, placements, self._directory, self._book, all_asked=False)
        judged = {
            session: reconcile.judge(
                account.placement,
                observed,
                quarantined=account.status is SessionStatus.QUARANTINED,
                known=account.linking,
                owner=account.workspace_id,
            )
            for session, account in accounts.items()
        }
        corrected = await self._correct(judged, wanted)
        seen = [
            session
            for session, judgement in judged.items()
            if isinstance(judgement, AtHome) and not _is_behind(accounts[session], wanted[session])
        ]
        await self._note_seen(seen, asked_s)
        await self._note_statuses(judged, accounts, listings)
        if self._identity is not None:
            await self._identity.compare(_reported(wanted, accounts, judged, listings))
        return _Looked(accounts, judged, corrected)

    def _concerned(
        self, wanted: Mapping[SessionId, _Wanted], accounts: Mapping[SessionId, Account]
    ) -> list[InstanceUrl]:
        """The senders and the present holders, so far as they are instances that we know."""
        senders = [sender for session in accounts for sender in wanted[session].senders]
        holders = [account.placement.instance_url for account in accounts.values()]
        known = self._lists.instances()
        return [url for url in known if url in {*senders, *holders}]

    async def _correct(
        self, judged: Mapping[SessionId, Judgement], wanted: Mapping[SessionId, _Wanted]
    ) -> set[SessionId]:
        changes = [
            hints.explained(judgement.change, wanted[session].hint)
            for session, judgement in judged.items()
            if isinstance(judgement, PlacedElsewhere)
        ]
        return await correct(self._directory, self._meters, changes, run_id=self._entropy.uuid())

    async def _note_seen(self, seen: Sequence[SessionId], asked_s: float) -> None:
        """They can send where the record says, by lists that were asked for at `asked_s`."""
        for session in seen:
            self._news.tell(session)
            self._alerts.note(session, SessionStatus.CONNECTED, "")
            self._book.held(session)
        ago_s = self._clock.monotonic() - asked_s
        await self._directory.mark_verified(seen, self._clock.now(), ready_ago_s=ago_s)

    async def _note_statuses(
        self,
        judged: Mapping[SessionId, Judgement],
        accounts: Mapping[SessionId, Account],
        listings: Mapping[InstanceUrl, Listing],
    ) -> None:
        """What the instance of the record says of its sessions becomes their status."""
        for session, judgement in judged.items():
            if isinstance(judgement, Contested):
                claimed = f"claimed by {', '.join(judgement.claimants)}"
                self._book.raised(AlertKind.DUPLICATE_HOLDER, Subject.session(session), claimed)
            elif not isinstance(judgement, PlacedElsewhere):
                await self._note_status(accounts[session], listings)

    async def _note_status(self, account: Account, listings: Mapping[InstanceUrl, Listing]) -> None:
        home = account.placement.instance_url
        listing = listings.get(home) if home is not None else None
        said = linking.at_holder(listing, account.session_id, account.linking)
        status = hints.new_status(account.status, said) if said is not None else None
        if status is None:
            return
        # What was asked for while we looked counts for more than what we saw.
        now = await self._directory.accounts_of([account.session_id])
        if [(each.placement, each.status) for each in now] == [(account.placement, account.status)]:
            await self._directory.set_status(account.session_id, status)
            self._alerts.note(account.session_id, status, f"{home} says that the link with its phone has ended")


def _is_behind(account: Account, wanted: _Wanted) -> bool:
    """Its list says that the session can send, and it has just reported that the link has ended: to be seen again."""
    return linking.has_ended(account.linking) and wanted.looks < len(hints.LOOK_AGAIN_AFTER_S)


def _reported(
    wanted: Mapping[SessionId, _Wanted],
    accounts: Mapping[SessionId, Account],
    judged: Mapping[SessionId, Judgement],
    listings: Mapping[InstanceUrl, Listing],
) -> Reported:
    """The phones that are worth a closer look, as the instances say that have the sessions."""
    found: dict[SessionId, tuple[InstanceUrl, str]] = {}
    for session, account in accounts.items():
        judgement, hint = judged[session], wanted[session].hint
        url = (
            judgement.change.instance_url if isinstance(judgement, PlacedElsewhere) else account.placement.instance_url
        )
        listing = listings.get(url) if url is not None else None
        row = listing.sessions.get(session) if isinstance(listing, SessionList) else None
        phone = (row.phone or (hint.phone if hint.sender == url else None)) if row is not None else None
        if url is not None and phone and (account.mismatched_phone or identity.differs(account.phone, phone)):
            found[session] = (url, phone)
    return found

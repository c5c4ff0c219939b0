"""Bringing a running fleet in: which gateways answer, what they list, and accounts for it, without pairing anything.

Nothing is started, stopped or sent. What cannot be used is named and left alone; to run it again changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import structlog

from homing.decide.knowledge import fleet_adoption
from homing.decide.knowledge.fleet_adoption import AdoptionResult, JudgedSession, ListedThere, OnRecord
from homing.flows.operations.recognising import AskedAddress, FoundGateway, NotAdopted, gateway_at
from homing.model.errors import Code, Problem
from homing.model.fleet import (
    Account,
    AccountUuid,
    Instance,
    InstanceMode,
    InstanceUrl,
    ListedSession,
    Listing,
    SessionId,
    SessionList,
    WorkspaceId,
)
from homing.model.instances.gateways import Recognised, Traits
from homing.model.instances.native_names import NativeName, names_are_local, place_named
from homing.model.instances.observing import Watched
from homing.model.sends.faults import Fault
from homing.ports import Clock, Directory, Driver, Entropy, InstanceChanges, NewAccount, Roster
from homing.ports.aside import Aside, at_once
from homing.ports.directory.adopting import Adoptions, NewlyListed, NotMade

log = structlog.get_logger("homing")

AT_ONCE = 16
"""Gateways that are looked at together."""
UNSEALED = (
    "its key is kept in memory alone, until this gateway ends: set HOMING_SECRET, start Homing anew and adopt again"
    " with --key; or give the key as WHATSAPP_INSTANCE_n_API_KEY"
)
_BATCH = 1_000
_MADE_AT_ONCE = 100
"""Accounts of one transaction, which others wait for: a list may be of tens of thousands."""


@dataclass(frozen=True, slots=True)
class FleetWanted:
    """What is to be adopted. `key` is what the gateways want; None: what they are shown already, if anything.

    `mode` None: observed, unless somebody has said otherwise of the instance. `workspace` None: the only one there is.
    """

    urls: Sequence[InstanceUrl]
    key: str | None = field(default=None, repr=False)
    driver: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    workspace: WorkspaceId | None = None
    mode: InstanceMode | None = None
    sessions: Sequence[str] = ()
    """Those to ask after, where a gateway gives no list."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class AdoptedInstance:
    """One gateway that was adopted, or would be. `sessions` are those that it lists, with what became of each."""

    found: FoundGateway
    mode: InstanceMode
    sessions: tuple[JudgedSession, ...]
    oddities: tuple[str, ...]
    new: bool

    @property
    def counts(self) -> Mapping[AdoptionResult, int]:
        return Counter(each.result for each in self.sessions)


@dataclass(frozen=True, slots=True)
class FleetAdopted:
    """What came of an adoption."""

    instances: tuple[AdoptedInstance, ...]
    refused: tuple[NotAdopted, ...]
    dry_run: bool


class AdoptingFleet(Protocol):
    """The gateways that can be spoken to, known or not."""

    @property
    def roster(self) -> Roster: ...

    def families(self) -> frozenset[str]: ...

    def recognises(self, family: str) -> bool: ...

    def trying(self, family: str, url: InstanceUrl, key: str | None) -> Driver: ...

    async def recognise(self, url: InstanceUrl, *, timeout_s: float) -> Recognised | Fault | None: ...

    def traits_of(self, family: str) -> Traits: ...

    def own_keys(self) -> Mapping[InstanceUrl, str]: ...

    def hold_key(self, url: InstanceUrl, key: str) -> None: ...

    async def refresh(self) -> None: ...


class FleetAdoption:
    """Adopts gateways with all that they run."""

    def __init__(
        self,
        directory: Directory,
        adoptions: Adoptions,
        fleet: AdoptingFleet,
        clock: Clock,
        entropy: Entropy,
        seal: Callable[[InstanceUrl, str], str] | None,
        watched: Callable[[Watched], None],
        heard: Callable[[Listing], None] = lambda _: None,
        aside: Aside = at_once,
    ) -> None:
        """`seal` makes a gateway's key fit to be stored; None: there is nothing to seal it with. `heard` hears of each
        list that was read: nobody else has to read one as well."""
        self._heard = heard
        self._directory, self._adoptions, self._fleet = directory, adoptions, fleet
        self._clock, self._entropy, self._seal, self._watched, self._aside = clock, entropy, seal, watched, aside

    async def adopt(self, wanted: FleetWanted) -> FleetAdopted:
        """Look at every gateway once, then take up what each lists. Raises Problem where nothing can be adopted."""
        self._check(wanted)
        workspace = await self._workspace(wanted.workspace)
        settled = await self._settled()
        found = await self._found(wanted, settled)
        gateways = [self._warned(each, wanted) for each in found if isinstance(each, FoundGateway)]
        refused = tuple(each for each in found if isinstance(each, NotAdopted))
        known = {each.url: each for each in await self._directory.instances()}
        judged = await self._judged(gateways, known, workspace, named=wanted.workspace is not None)
        if not wanted.dry_run:
            judged = await self._carried_out(gateways, known, judged, wanted, settled)
        modes = {each.url: mode_of(known.get(each.url), wanted, settled=each.url in settled) for each in gateways}
        instances = tuple(_adopted(each, known.get(each.url), judged[each.url], modes[each.url]) for each in gateways)
        return FleetAdopted(instances, refused, wanted.dry_run)

    # --- looking ------------------------------------------------------------------------------------------------

    def _check(self, wanted: FleetWanted) -> None:
        if wanted.driver is not None and wanted.driver not in self._fleet.families():
            known = ", ".join(sorted(self._fleet.families()))
            detail = f"There is no driver {wanted.driver!r}; known are {known}"
            raise Problem(Code.INVALID_REQUEST, detail, field="driver")

    async def _workspace(self, named: WorkspaceId | None) -> WorkspaceId:
        """The one that is named, the only one that there is, or the first."""
        if named is not None:
            return named
        there = [each.id for each in await self._directory.workspaces()]
        if len(there) > 1:
            detail = f"There are several workspaces ({', '.join(map(str, there[:10]))}); say whose the sessions become"
            raise Problem(Code.INVALID_REQUEST, detail, field="workspace_id")
        return there[0] if there else WorkspaceId(1)

    async def _settled(self) -> frozenset[InstanceUrl]:
        """The instances of which somebody has said what may be done there, or that carry sessions already."""
        loads = await self._directory.loads()
        return frozenset(each.instance.url for each in loads if each.sessions or each.instance.mode_since is not None)

    async def _found(self, wanted: FleetWanted, settled: Collection[InstanceUrl]) -> list[FoundGateway | NotAdopted]:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(url: InstanceUrl) -> FoundGateway | NotAdopted:
            known = self._fleet.roster.instances.get(url)
            async with places:
                return await gateway_at(
                    self._fleet,
                    url,
                    AskedAddress(wanted.key, wanted.driver, known, url in settled, tuple(wanted.sessions)),
                )

        return list(await asyncio.gather(*(one(url) for url in dict.fromkeys(wanted.urls))))

    def _warned(self, found: FoundGateway, wanted: FleetWanted) -> FoundGateway:
        """What a person has to know of a key that cannot be stored."""
        if wanted.key is None or self._seal is not None:
            return found
        told = [each for each in (found.warning, UNSEALED) if each]
        return replace(found, warning="; ".join(told))

    async def _judged(
        self,
        gateways: Sequence[FoundGateway],
        known: Mapping[InstanceUrl, Instance],
        workspace: WorkspaceId,
        *,
        named: bool,
    ) -> dict[InstanceUrl, list[JudgedSession]]:
        lists = await self._aside(partial(_lists, gateways, known))
        record = await self._record(lists)
        judged: dict[InstanceUrl, list[JudgedSession]] = {each.url: [] for each in gateways}
        for each in await self._aside(partial(fleet_adoption.judge, lists, record, workspace, named_by_caller=named)):
            judged[each.url].append(each)
        return judged

    async def _record(self, lists: Sequence[ListedThere]) -> OnRecord:
        named: dict[str, list[NativeName]] = {}
        for name in await self._adoptions.native_names():
            named.setdefault(name.native_id, []).append(name)
        sessions = await self._aside(lambda: sorted(fleet_adoption.candidates(lists, named)))
        owners: dict[SessionId, Account] = {}
        for start in range(0, len(sessions), _BATCH):
            for account in await self._directory.accounts_of(sessions[start : start + _BATCH]):
                owners[account.session_id] = account
        return OnRecord(owners, await self._persons(lists), named)

    async def _persons(self, lists: Sequence[ListedThere]) -> dict[tuple[WorkspaceId, str], Account]:
        persons = await self._aside(lambda: sorted(fleet_adoption.persons_of(lists)))
        found: dict[tuple[WorkspaceId, str], Account] = {}
        for start in range(0, len(persons), _BATCH):
            for account in await self._directory.accounts_of_persons(persons[start : start + _BATCH]):
                if account.person is not None:
                    found[account.workspace_id, account.person] = account
        return found

    # --- acting -------------------------------------------------------------------------------------------------

    async def _carried_out(
        self,
        gateways: Sequence[FoundGateway],
        known: Mapping[InstanceUrl, Instance],
        judged: Mapping[InstanceUrl, Sequence[JudgedSession]],
        wanted: FleetWanted,
        settled: Collection[InstanceUrl],
    ) -> dict[InstanceUrl, list[JudgedSession]]:
        for each in gateways:
            mode = mode_of(known.get(each.url), wanted, settled=each.url in settled)
            await self._join(each, known.get(each.url), wanted, mode)
        await self._fleet.refresh()
        for each in gateways:
            self._heard(each.listing)
        after = {each.url: await self._taken_up(each, judged[each.url]) for each in gateways}
        await self._fleet.refresh()
        for each in gateways:
            self._note(each, after[each.url])
        return after

    async def _join(self, found: FoundGateway, known: Instance | None, wanted: FleetWanted, mode: InstanceMode) -> None:
        """The instance is in the directory, in its mode, with its key. What stands is changed only where it must be."""
        sealed = self._sealed(found.url, wanted.key)
        if known is None:
            await self._directory.create_instance(
                found.url, driver=found.family, labels=wanted.labels, mode=mode, sealed_key=sealed
            )
            return
        changes = InstanceChanges()
        if known.driver != found.family:
            changes["driver"] = found.family
        if known.mode is not mode:
            changes["mode"] = mode
        if sealed is not None and self._fleet.own_keys().get(found.url) != wanted.key:
            changes["sealed_key"] = sealed
        if wanted.labels and dict(wanted.labels) != known.labels:
            changes["labels"] = {**known.labels, **wanted.labels}
        if changes:
            await self._directory.change_instance(found.url, changes)

    def _sealed(self, url: InstanceUrl, key: str | None) -> str | None:
        """The key, fit to be stored. Where there is nothing to seal it with, it is held in memory alone."""
        if key is None or self._seal is not None:
            return self._seal(url, key) if key is not None and self._seal is not None else None
        self._fleet.hold_key(url, key)
        return None

    async def _taken_up(self, found: FoundGateway, judged: Sequence[JudgedSession]) -> list[JudgedSession]:
        """The sessions, each as it turned out: what somebody else took in the meantime is refused."""
        wanted = [each for each in judged if each.result is AdoptionResult.ADOPT]
        outcomes: dict[SessionId, JudgedSession] = {}
        for start in range(0, len(wanted), _MADE_AT_ONCE):
            part = wanted[start : start + _MADE_AT_ONCE]
            made = await self._adoptions.take_up([self._new(found, each) for each in part])
            outcomes |= {each.session_id: _after(each, now) for each, now in zip(part, made, strict=True)}
        nowhere = [each for each in judged if each.result is AdoptionResult.PLACE]
        names = {each.session_id: each.row.session_id for each in nowhere} if names_are_local(found.family) else {}
        placed: set[SessionId] = set()
        for start in range(0, len(nowhere), _MADE_AT_ONCE):
            part = nowhere[start : start + _MADE_AT_ONCE]
            placed |= await self._adoptions.place([(each.session_id, found.url, each.row) for each in part], names)
        for each in nowhere:
            if each.session_id not in placed:
                why = "its record changed meanwhile; adopt again"
                outcomes[each.session_id] = replace(each, result=AdoptionResult.REFUSED, reason=why)
        return [outcomes.get(each.session_id, each) for each in judged]

    def _new(self, found: FoundGateway, judged: JudgedSession) -> NewlyListed:
        native = judged.row.session_id
        return NewlyListed(
            NewAccount(
                uuid=AccountUuid(self._entropy.uuid()),
                workspace_id=judged.workspace_id,
                session_id=judged.session_id,
                phone=judged.phone or "",
                person=judged.person,
                name=native,
                takeover=self._fleet.traits_of(found.family).takeover,
                any_owner=True,
                native_id=native if names_are_local(found.family) else None,
            ),
            found.url,
            judged.row,
        )

    def _note(self, found: FoundGateway, judged: Sequence[JudgedSession]) -> None:
        counts = Counter(each.result for each in judged)
        here = sum(counts[each] for each in _HERE)
        strays = len(judged) - here
        if any(counts[each] for each in _NEW) and self._fleet.traits_of(found.family).lists:
            self._watched(Watched(found.url, self._clock.now(), recorded=here, seen=here, strays=strays))
        told = {result.value: count for result, count in counts.items()}
        log.info("Gateway adopted", url=found.url, gateway=found.gateway, sessions=len(judged), **told)


_NEW = (AdoptionResult.ADOPT, AdoptionResult.PLACE)
_HERE = (AdoptionResult.ADOPT, AdoptionResult.PLACE, AdoptionResult.KNOWN)


def mode_of(known: Instance | None, wanted: FleetWanted, *, settled: bool) -> InstanceMode:
    """What may be done with an adopted instance: what is said now; else, if it is settled, what it was; else look."""
    if wanted.mode is not None:
        return wanted.mode
    if known is None or not settled:
        return InstanceMode.OBSERVE
    return known.mode


def _adopted(
    found: FoundGateway, known: Instance | None, judged: Sequence[JudgedSession], mode: InstanceMode
) -> AdoptedInstance:
    return AdoptedInstance(found, mode, tuple(judged), found.listing.oddities, known is None)


def _lists(gateways: Sequence[FoundGateway], known: Mapping[InstanceUrl, Instance]) -> list[ListedThere]:
    return [
        ListedThere(each.url, place_named(each.url, known.get(each.url)), each.family, _rows(each.listing))
        for each in gateways
    ]


def _rows(listing: SessionList) -> list[ListedSession]:
    return sorted(listing.sessions.values(), key=lambda row: row.session_id)


def _after(judged: JudgedSession, made: Account | NotMade) -> JudgedSession:
    if isinstance(made, NotMade):
        return replace(judged, result=AdoptionResult.REFUSED, reason=made.reason)
    return replace(judged, account_id=made.id)

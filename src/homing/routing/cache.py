"""The route cache: where each account's session lives, without asking the directory for every message.

A cached route may be stale; that costs a hop, never a wrong delivery, because the instance refuses an epoch that is
not its own. Three rules keep it as fresh as it can be:

- Every change of a placement drops the route here, in every gateway, by notice (`Notices`).
- A read that was under way while its route was dropped does not fill the cache: the *refill race*.
- A route whose epoch is below the last one heard of for its session does not fill it either: a read replica, or a
  slow transaction, may still show the past.

Misses that meet share one read, and the read of one contact brings its neighbours along, so that a campaign reads an
address book in pages.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from homing.model.fleet import AccountUuid, Contact, ContactUuid, Epoch, Placement, Route, SessionId, WorkspaceId
from homing.ports import (
    AccountChanged,
    AlertsChanged,
    CacheCleared,
    CacheStats,
    Clock,
    Directory,
    EventsStored,
    KeysChanged,
    Lookup,
    Notice,
    OptOutsChanged,
    OutboxChanged,
    PlacementChanged,
    RosterChanged,
    StoreUnavailable,
    WorkReady,
    WorkspacesChanged,
)

T = TypeVar("T")
K = TypeVar("K")
Owned = TypeVar("Owned", Route, Contact)

MAX_ENTRIES = 200_000
"""Routes, and contacts, kept at most; the oldest go first."""
READ_WITHIN_S = 1.5
"""How long those who wait for a read are kept waiting. A directory that takes longer is away, for a send."""


@dataclass(slots=True)
class _Read:
    """One SELECT on its way, and for whom. `began` is the number of the last notice heard before it."""

    began: int
    accounts: set[AccountUuid] = field(default_factory=set)
    contacts: set[ContactUuid] = field(default_factory=set)
    workspaces: set[WorkspaceId] = field(default_factory=set)
    answer: asyncio.Future[Lookup] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RouteCache:
    """`ports.Routes` over a directory, with a cache in front that `hear` keeps true."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        *,
        ttl_s: float = 300.0,
        enabled: bool = True,
        neighbours: int = 1000,
        max_entries: int = MAX_ENTRIES,
        on_hit: Callable[[], None] = lambda: None,
        on_miss: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory, self._clock = directory, clock
        self._ttl_s, self._enabled, self._neighbours, self._max_entries = ttl_s, enabled, neighbours, max_entries
        self._on_hit, self._on_miss = on_hit, on_miss
        self._routes: dict[AccountUuid, tuple[Route, float]] = {}
        self._accounts: dict[SessionId, AccountUuid] = {}
        self._contacts: dict[ContactUuid, tuple[Contact, float]] = {}
        self._newest: dict[SessionId, Epoch] = {}
        self._heard = 0
        self._dropped: dict[str, int] = {}
        self._flushed = 0
        self._gathering: _Read | None = None
        self._reading: list[_Read] = []
        self._readers: set[asyncio.Task[None]] = set()
        self._hits = self._misses = self._reads = self._invalidations = self._flushes = 0

    async def route(
        self, workspace: WorkspaceId | None, account_uuid: AccountUuid, contact_uuid: ContactUuid | None
    ) -> tuple[Route | None, Contact | None]:
        """The account's route and the contact, for a send. None for what the workspace does not have."""
        route, contact = self._cached_route(account_uuid), self._cached_contact(contact_uuid)
        lacking = route is None or (contact_uuid is not None and contact is None)
        if lacking:
            route, contact = await self._miss(workspace, account_uuid, contact_uuid, route, contact)
        else:
            self._hits += 1
            self._on_hit()
        return _of(workspace, route), _of(workspace, contact)

    async def reread(self, account_uuid: AccountUuid) -> Route | None:
        """The route as the directory has it now, past the cache and into it."""
        self._drop(account_uuid)
        lookup = await asyncio.shield(self._read(None, account_uuid, None).answer)
        return lookup.routes.get(account_uuid)

    async def reread_unless_moved(self, account_uuid: AccountUuid, failed: Placement) -> Route | None:
        """A fresher route than the placement that just failed: the cached one if it differs, else the directory's."""
        cached = self._cached_route(account_uuid)
        if cached is not None and cached.placement != failed:
            return cached
        return await self.reread(account_uuid)

    def hear(self, notice: Notice) -> None:
        """Take note of a change, so that nothing older is served from now on."""
        self._heard += 1
        match notice:
            case PlacementChanged(session_id=session, account_uuid=account, epoch=epoch):
                self._newest[session] = max(epoch, self._newest.pop(session, epoch))
                _shrink(self._newest, self._max_entries)
                self._drop(account)
            case AccountChanged(account_uuid=account_or_none, contact_uuid=contact_or_none):
                if account_or_none is not None:
                    self._drop(account_or_none)
                if contact_or_none is not None:
                    self._contacts.pop(contact_or_none, None)
                    self._note_drop(contact_or_none)
            case CacheCleared():
                self.clear()
            case RosterChanged() | KeysChanged() | WorkspacesChanged() | AlertsChanged():
                pass
            case WorkReady() | EventsStored() | OutboxChanged() | OptOutsChanged():
                pass
            case _:
                assert_never(notice)

    def clear(self) -> None:
        """Forget everything."""
        self._routes.clear()
        self._accounts.clear()
        self._contacts.clear()
        self._heard += 1
        self._flushed = self._heard
        self._flushes += 1

    def by_session(self, session_id: SessionId) -> Route | None:
        """The cached route of a session, without asking the directory."""
        account = self._accounts.get(session_id)
        return None if account is None else self._cached_route(account)

    def stats(self) -> CacheStats:
        return CacheStats(
            entries=len(self._routes),
            hits=self._hits,
            misses=self._misses,
            reads=self._reads,
            invalidations=self._invalidations,
            flushes=self._flushes,
        )

    # --- what is cached -----------------------------------------------------------------------------------------

    def _cached_route(self, account_uuid: AccountUuid) -> Route | None:
        return _fresh(self._routes.get(account_uuid), self._clock.monotonic())

    def _cached_contact(self, contact_uuid: ContactUuid | None) -> Contact | None:
        return None if contact_uuid is None else _fresh(self._contacts.get(contact_uuid), self._clock.monotonic())

    def _drop(self, account_uuid: AccountUuid) -> None:
        entry = self._routes.pop(account_uuid, None)
        if entry is not None:
            self._accounts.pop(entry[0].session_id, None)
            self._invalidations += 1
        self._note_drop(account_uuid)

    def _note_drop(self, uuid: str) -> None:
        """Only reads that are under way need to know; without any there is nothing to remember."""
        self._heard += 1
        if self._reading or self._gathering:
            self._dropped[uuid] = self._heard

    # --- reading ------------------------------------------------------------------------------------------------

    async def _miss(
        self,
        workspace: WorkspaceId | None,
        account_uuid: AccountUuid,
        contact_uuid: ContactUuid | None,
        route: Route | None,
        contact: Contact | None,
    ) -> tuple[Route | None, Contact | None]:
        """Wait for a read that is under way for the same account or address book; else begin one."""
        under_way = self._joinable(workspace, account_uuid)
        if under_way is not None:
            lookup = await asyncio.shield(under_way.answer)
            route = route or lookup.routes.get(account_uuid)
            contact = contact or (lookup.contacts.get(contact_uuid) if contact_uuid else None)
            if route is not None and (contact_uuid is None or contact is not None):
                self._hits += 1
                self._on_hit()
                return route, contact
        self._misses += 1
        self._on_miss()
        lookup = await asyncio.shield(self._read(workspace, account_uuid, contact_uuid).answer)
        return (
            lookup.routes.get(account_uuid),
            lookup.contacts.get(contact_uuid) if contact_uuid is not None else None,
        )

    def _joinable(self, workspace: WorkspaceId | None, account_uuid: AccountUuid) -> _Read | None:
        """A read under way that may answer this miss too, and that no notice has overtaken."""
        if not self._enabled:
            return None
        for read in [*self._reading, *([self._gathering] if self._gathering else [])]:
            overtaken = max(self._flushed, self._dropped.get(account_uuid, 0)) > read.began
            if not overtaken and (account_uuid in read.accounts or workspace in read.workspaces):
                return read
        return None

    def _read(
        self, workspace: WorkspaceId | None, account_uuid: AccountUuid, contact_uuid: ContactUuid | None
    ) -> _Read:
        """Join the read that is about to begin, or gather one: it begins with the loop's next turn."""
        if self._gathering is None:
            self._gathering = _Read(began=self._heard)
            reader = asyncio.get_running_loop().create_task(self._begin(self._gathering))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        read = self._gathering
        read.accounts.add(account_uuid)
        if contact_uuid is not None:
            read.contacts.add(contact_uuid)
        if workspace is not None:
            read.workspaces.add(workspace)
        return read

    async def _begin(self, read: _Read) -> None:
        self._gathering = None
        read.began = self._heard
        self._reading.append(read)
        self._reads += 1
        try:
            lookup = await self._looked_up(read)
        except BaseException as error:
            read.answer.set_exception(error)
            read.answer.exception()
            if not isinstance(error, Exception):
                raise
        else:
            self._fill(read, lookup)
            read.answer.set_result(lookup)
        finally:
            self._reading.remove(read)
            if not self._reading and self._gathering is None:
                self._dropped.clear()

    async def _looked_up(self, read: _Read) -> Lookup:
        neighbours = self._neighbours if self._enabled and read.contacts else 0
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                return await self._directory.lookup(read.accounts, read.contacts, neighbours=neighbours)
        except TimeoutError as error:
            raise StoreUnavailable(f"it did not answer within {READ_WITHIN_S:g} s") from error

    def _fill(self, read: _Read, lookup: Lookup) -> None:
        if not self._enabled or self._flushed > read.began:
            return
        expires_s = self._clock.monotonic() + self._ttl_s
        for account, route in lookup.routes.items():
            outdated = route.placement.epoch < self._newest.get(route.session_id, 0)
            if self._dropped.get(account, 0) <= read.began and not outdated:
                self._routes.pop(account, None)
                self._routes[account] = (route, expires_s)
                self._accounts[route.session_id] = account
        for uuid, contact in lookup.contacts.items():
            if self._dropped.get(uuid, 0) <= read.began:
                self._contacts.pop(uuid, None)
                self._contacts[uuid] = (contact, expires_s)
        self._make_room()

    def _make_room(self) -> None:
        while len(self._routes) > self._max_entries:
            route, _ = self._routes.pop(next(iter(self._routes)))
            self._accounts.pop(route.session_id, None)
        _shrink(self._contacts, self._max_entries)


def _fresh(entry: tuple[T, float] | None, now_s: float) -> T | None:
    return entry[0] if entry is not None and now_s < entry[1] else None


def _of(workspace: WorkspaceId | None, thing: Owned | None) -> Owned | None:
    """What belongs to another workspace does not exist for this one."""
    return thing if thing is not None and workspace in (None, thing.workspace_id) else None


def _shrink(entries: dict[K, T], limit: int) -> None:
    while len(entries) > limit:
        del entries[next(iter(entries))]

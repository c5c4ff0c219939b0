"""The durable map: who exists, and where each session lives."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypedDict

from homing.model.directory.access import RateLimit
from homing.model.directory.phones import Bare
from homing.model.directory.workspaces import Workspace
from homing.model.fleet import (
    Account,
    AccountUuid,
    Contact,
    ContactUuid,
    DeafPolicy,
    Instance,
    InstanceLoad,
    InstanceMode,
    InstanceState,
    InstanceUrl,
    Move,
    MoveKind,
    Placed,
    Placement,
    Rebinding,
    Route,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.vault import Vouched
from homing.model.sessions.exit_proxies import SealedExitProxy
from homing.ports.directory.handing import HandedOut
from homing.ports.directory.keys import Keys
from homing.ports.pages import Page


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one read of the directory knew of the asked accounts and contacts. What is absent does not exist."""

    routes: Mapping[AccountUuid, Route]
    contacts: Mapping[ContactUuid, Contact]


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account about to exist. `session_id` is fixed from here on; `person` is the phone as it is compared."""

    uuid: AccountUuid
    workspace_id: WorkspaceId
    session_id: SessionId
    phone: str
    name: str
    takeover: Takeover
    id: int | None = None
    requires: Mapping[str, str] = field(default_factory=dict)
    person: str | None = None
    any_owner: bool = False
    """Whether its session may be one that another workspace's deleted account had: an operator says so."""
    native_id: str | None = None
    """What its gateway calls its session, where such names are local to a gateway."""


@dataclass(frozen=True, slots=True)
class NewNames:
    """What an account that is nowhere is to be known by from now on. What is None stays."""

    session_id: SessionId | None = None
    uuid: AccountUuid | None = None
    id: int | None = None
    native_id: str | None = None
    """What its gateway calls the session, where such names are local to a gateway."""


class AccountChanges(TypedDict, total=False):
    """What may be set of an account. What is absent stays."""

    takeover: Takeover
    requires: Mapping[str, str]
    deaf_policy: DeafPolicy | None
    exit_proxy: SealedExitProxy | None


class InstanceChanges(TypedDict, total=False):
    """What an operator may say of an instance. What is absent stays; None takes a limit away."""

    driver: str
    name: str
    capacity: int | None
    memory_limit_mb: float | None
    sends_limit_per_s: float | None
    labels: Mapping[str, str]
    mode: InstanceMode
    storage: str | None
    sealed_key: str | None


class WorkspaceChanges(TypedDict, total=False):
    """What may be set of a workspace. What is absent stays; a region of None is the settings' again, and a limit of
    None is none."""

    name: str
    region: str | None
    bare_digits: Bare
    rate_limit: RateLimit | None
    deaf_policy: DeafPolicy | None


class Directory(HandedOut, Keys, Protocol):
    """The durable map: who exists, and where each session lives. Raises StoreUnavailable from every method.

    Placements change by compare-and-set alone (`rebind`): a change holds only if the record it started from,
    instance and epoch both, is still the record. Every change of a placement is announced to all gateways.
    """

    async def lookup(
        self, accounts: Collection[AccountUuid], contacts: Collection[ContactUuid], *, neighbours: int = 0
    ) -> Lookup:
        """Routes and contacts in one SELECT.

        With `neighbours`, up to that many further contacts of the same workspaces come along unasked, lowest id
        first: those after the first one asked for, then from the beginning. So a campaign over an address book reads
        it in pages and not person by person.
        """
        ...

    async def route_of_session(self, session_id: SessionId) -> Route | None: ...

    async def routes(
        self, *, sessions: Collection[SessionId] = (), instances: Collection[InstanceUrl] = ()
    ) -> list[Route]:
        """The routes of these sessions, and of all sessions placed on these instances, in one SELECT."""
        ...

    async def vouched(self, sessions: Collection[SessionId]) -> Mapping[SessionId, Vouched]:
        """What the vault says of those of these sessions that are in it, in one SELECT."""
        ...

    async def rebind(self, changes: Sequence[Rebinding], *, run_id: str | None = None) -> list[Rebinding]:
        """Apply each change whose expected record still stands, in one transaction; returns those that held.

        One that rests on an instance's claim holds only if the vault does not know better.

        Each one applied is a row of the log of moves and drops the route from every gateway's cache.
        """
        ...

    async def placed_on(self, instance: InstanceUrl) -> list[Placed]:
        """The sessions placed on an instance that should be running there: not stopped, not logged out."""
        ...

    async def adrift(self, *, for_s: float, limit: int) -> list[Placement]:
        """Placements that have been on their way for so long, the longest ones first."""
        ...

    async def placed_count(self) -> int:
        """How many sessions are placed somewhere and should be running."""
        ...

    async def placed_elsewhere(self, instances: Collection[InstanceUrl]) -> list[Placed]:
        """The sessions that should be running, placed on none of these instances but on some address."""
        ...

    async def mark_verified(
        self, sessions: Collection[SessionId], at: datetime, *, ready_ago_s: float | None = None
    ) -> None:
        """They were seen where the record says; given `ready_ago_s`, they could send so many seconds ago."""
        ...

    async def set_status(self, session_id: SessionId, status: SessionStatus, *, ready: bool = False) -> None:
        """`ready`: it was seen to be able to send just now."""
        ...

    async def note_start(self, session_id: SessionId, instance: InstanceUrl) -> None:
        """An instance is about to be told to start or restart the session: codes reported before are void.

        From here on what this instance reports of the session counts, as if it were placed there.
        """
        ...

    async def claim_start(self, session_id: SessionId, instance: InstanceUrl, *, per_min: int) -> float:
        """0.0 if the instance may be told to start the session now, which is noted as by `note_start`; else in how many
        seconds, since no more than so many are started there within any minute, whoever starts them."""
        ...

    async def claim_renewal(self, session_id: SessionId, *, every_s: float) -> float:
        """0.0 if a new code may be asked for now, which is noted; else in how many seconds, whoever asked last."""
        ...

    async def create_account(self, account: NewAccount) -> Account:
        """Raises NameTaken if the workspace has that phone already, however written. The workspace comes to exist if
        it did not."""
        ...

    async def account(
        self,
        workspace: WorkspaceId | None,
        *,
        id: int | None = None,
        uuid: str | None = None,
        session_id: SessionId | None = None,
    ) -> Account | None:
        """One account by its id, its uuid or its session; None for another workspace's exactly as for none (workspace
        None: any)."""
        ...

    async def accounts(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        instance_url: InstanceUrl | None = None,
        status: SessionStatus | None = None,
        away: Collection[InstanceUrl] = (),
    ) -> list[Account]:
        """A page by id. `status` is the one that is known now, where the instances that are `away` cannot be reached
        (`homing.decide.knowledge.presence`)."""
        ...

    async def accounts_of(self, sessions: Collection[SessionId]) -> list[Account]:
        """The accounts of these sessions, in one SELECT."""
        ...

    async def accounts_of_persons(self, persons: Collection[str]) -> list[Account]:
        """The accounts of any workspace whose phones are these persons' (`Account.person`), by number."""
        ...

    async def delete_account(self, account: Account) -> None: ...

    async def rename_account(self, account: Account, names: NewNames, *, any_owner: bool = False) -> Account:
        """The account under its new names. Raises NameTaken, and AccountPlaced if its session is on an instance."""
        ...

    async def set_mismatch(self, account: Account, phone: str | None) -> None:
        """Note the phone that the session's instance reports, if it is somebody else's than the account's."""
        ...

    async def mismatched(self, *, limit: int) -> list[SessionId]:
        """The sessions for which somebody else's phone is reported."""
        ...

    async def accept_phone(self, account: Account, phone: str) -> bool:
        """The phone that is reported is the account's from now on; False if another one, or none, is reported by now.

        Raises NameTaken if another account of the workspace has it.
        """
        ...

    async def note_strays(self, strays: Mapping[InstanceUrl, int]) -> None:
        """How many sessions each of these instances lists that are not placed on it."""
        ...

    async def change_account(self, account: Account, changes: AccountChanges) -> None:
        """Set these of it, all or none; each gateway hears of it, and the audit log has what it was before."""
        ...

    async def create_contact(
        self,
        uuid: ContactUuid,
        workspace: WorkspaceId,
        phone: str,
        name: str,
        *,
        as_written: str | None = None,
        id: int | None = None,
    ) -> Contact:
        """`phone` in E.164 digits. Raises NameTaken if the workspace has that person already."""
        ...

    async def contact(self, workspace: WorkspaceId | None, uuid: str) -> Contact | None: ...

    async def contacts(self, workspace: WorkspaceId | None, page: Page) -> list[Contact]: ...

    async def delete_contact(self, contact: Contact) -> None: ...

    async def workspaces(self) -> list[Workspace]:
        """All of them, by id."""
        ...

    async def change_workspace(self, id: WorkspaceId, changes: WorkspaceChanges) -> Workspace | None:
        """The workspace as it stands changed; None if there is none. Every gateway hears WorkspacesChanged."""
        ...

    async def recognise_accounts(self, default_region: str) -> int:
        """Note whose the phones of accounts are of which that is not known yet; returns of how many it is now."""
        ...

    async def instances(self) -> list[Instance]: ...

    async def create_instance(
        self,
        url: InstanceUrl,
        *,
        driver: str = "webjs",
        name: str = "",
        capacity: int | None = None,
        labels: Mapping[str, str] | None = None,
        memory_limit_mb: float | None = None,
        sends_limit_per_s: float | None = None,
        key_salt: str | None = None,
        mode: InstanceMode = InstanceMode.ROUTE,
        sealed_key: str | None = None,
    ) -> Instance:
        """Raises NameTaken if the address is known already."""
        ...

    async def set_instance_state(self, url: InstanceUrl, state: InstanceState) -> Instance | None: ...

    async def change_instance(self, url: InstanceUrl, changes: InstanceChanges) -> Instance | None:
        """The instance as it stands changed; None if there is none at the address."""
        ...

    async def delete_instance(self, url: InstanceUrl) -> bool:
        """False, and no change, while sessions are placed on it."""
        ...

    async def loads(self, workspace: WorkspaceId | None = None) -> list[InstanceLoad]:
        """Sessions placed on each instance, by its id, with the phones of the connected ones.

        With `workspace` only that one's sessions count.
        """
        ...

    async def moves(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        session_id: SessionId | None = None,
        kind: MoveKind | None = None,
    ) -> list[Move]:
        """The log of moves, newest first; `page.after` is the id below which to go on, 0 for the newest."""
        ...

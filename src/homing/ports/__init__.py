"""What the flows need from the world, in their own words.

Everything that waits, rolls dice, stores or reaches over the network stands behind one of these, so that the
same flows run against PostgreSQL, against SQLite, and inside a simulation whose time is virtual.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from homing.model.fleet import (
    Account,
    AccountUuid,
    Capabilities,
    Contact,
    ContactUuid,
    Instance,
    InstanceMode,
    InstanceState,
    InstanceUrl,
    ListedSession,
    Listing,
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
from homing.model.fleet import (
    InstanceLoad as InstanceLoad,
)
from homing.model.instances.events import DeliveryEvidence, Event, Meaning, Report, Signed, Taken
from homing.model.instances.gateways import Traits
from homing.model.instances.vault import VaultSealed as VaultSealed
from homing.model.instances.vault import Vouched as Vouched
from homing.model.notices import AccountChanged as AccountChanged
from homing.model.notices import AlertsChanged as AlertsChanged
from homing.model.notices import CacheCleared as CacheCleared
from homing.model.notices import EventsStored as EventsStored
from homing.model.notices import KeysChanged as KeysChanged
from homing.model.notices import Notice as Notice
from homing.model.notices import PlacementChanged as PlacementChanged
from homing.model.notices import RosterChanged as RosterChanged
from homing.model.notices import WorkReady as WorkReady
from homing.model.notices import WorkspacesChanged as WorkspacesChanged
from homing.model.sends.calls import InstanceHealth as InstanceHealth
from homing.model.sends.calls import OutgoingText as OutgoingText
from homing.model.sends.calls import PairingCode as PairingCode
from homing.model.sends.calls import SessionStart as SessionStart
from homing.model.sends.faults import Fault
from homing.model.sends.messages import Claimed as Claimed
from homing.model.sends.messages import InUse as InUse
from homing.model.sends.messages import MessageRecord, StoredAnswer
from homing.model.sends.sending import Receipt
from homing.model.workspaces import Workspace
from homing.ports.alerts import Alerts as Alerts
from homing.ports.audit import Audit as Audit
from homing.ports.changes import InstanceChanges as InstanceChanges
from homing.ports.changes import NewAccount as NewAccount
from homing.ports.changes import NewNames as NewNames
from homing.ports.changes import WorkspaceChanges as WorkspaceChanges
from homing.ports.handing import HandedOut as HandedOut
from homing.ports.keys import KeyChanges as KeyChanges
from homing.ports.keys import Keys as Keys
from homing.ports.leases import Credentials as Credentials
from homing.ports.leases import Grants as Grants
from homing.ports.leases import Leases as Leases
from homing.ports.leases import Reservations as Reservations
from homing.ports.meters import Meters as Meters
from homing.ports.notices import Notices as Notices
from homing.ports.notices import TellHearing as TellHearing
from homing.ports.pages import Page as Page
from homing.ports.proofs import WriteProof as WriteProof
from homing.ports.routes import CacheStats as CacheStats
from homing.ports.routes import Routes as Routes
from homing.ports.work import Schedules as Schedules
from homing.ports.work import Work as Work

# --- time and chance ------------------------------------------------------------------------------------------


class Clock(Protocol):
    """The passing of time. `monotonic` is in seconds and never goes back; `now` is UTC and may."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime: ...

    async def sleep(self, delay_s: float) -> None: ...


class Entropy(Protocol):
    """Chance, so that a seed can replay it."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def token(self, length_bytes: int) -> bytes: ...

    def uuid(self) -> str:
        """A UUID of version 7: later ones sort after earlier ones."""
        ...


# --- the directory --------------------------------------------------------------------------------------------


class StoreUnavailable(Exception):
    """The database did not answer, or refused. Nothing is known of what was asked; try again later."""


class NameTaken(Exception):
    """Something with this name, phone or address exists already. The message says what."""


class AccountPlaced(Exception):
    """What was asked for holds only of an account whose session is nowhere. The message is where it is."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one read of the directory knew of the asked accounts and contacts. What is absent does not exist."""

    routes: Mapping[AccountUuid, Route]
    contacts: Mapping[ContactUuid, Contact]


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

    async def claim_renewal(self, session_id: SessionId, *, every_s: float) -> float:
        """0.0 if a new code may be asked for now, which is noted; else in how many seconds, whoever asked last."""
        ...

    async def create_account(self, account: NewAccount) -> Account:
        """Raises NameTaken if the workspace has that phone already, however written. The workspace comes to exist if
        it did not."""
        ...

    async def account(
        self, workspace: WorkspaceId | None, *, id: int | None = None, uuid: str | None = None
    ) -> Account | None:
        """One account by its id or uuid; None for another workspace's exactly as for none (workspace None: any)."""
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

    async def set_takeover(self, account: Account, takeover: Takeover) -> None: ...

    async def set_requires(self, account: Account, requires: Mapping[str, str]) -> None:
        """The labels that an instance must have to be given the account's session from now on."""
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


# --- messages -------------------------------------------------------------------------------------------------


class Messages(Protocol):
    """Records of sends, and the idempotency keys. Raises StoreUnavailable. Leases are judged by the store's clock."""

    async def record(self, message: MessageRecord) -> None:
        """Insert, or replace what stands under the same uuid."""
        ...

    async def message(self, workspace: WorkspaceId | None, uuid: str) -> MessageRecord | None: ...

    async def messages(self, workspace: WorkspaceId | None, *, before: str | None, limit: int) -> list[MessageRecord]:
        """Newest first; `before` is the uuid below which to go on."""
        ...

    async def claim_key(
        self,
        workspace: WorkspaceId,
        key: str,
        *,
        fingerprint: str,
        message_uuid: str,
        owner: str,
        lease_s: float,
        keep_s: float,
    ) -> Claimed | InUse:
        """Take the key if it is new, expired, or its holder's lease ran out with the same fingerprint; one transaction.

        A taken-over row keeps its first `message_uuid`.
        """
        ...

    async def renew_keys(self, owner: str, keys: Collection[tuple[WorkspaceId, str]], lease_s: float) -> None: ...

    async def answer_key(self, workspace: WorkspaceId, key: str, owner: str, answer: StoredAnswer) -> bool:
        """Store the answer; False if another owner has the key by now."""
        ...

    async def release_key(self, workspace: WorkspaceId, key: str, owner: str, message_uuid: str) -> None:
        """Forget the key, so that the client's next try is a fresh one; unless it is another message's by now."""
        ...

    async def forget_expired_keys(self, *, limit: int = 1000) -> int:
        """Delete answered keys whose time is over, at most so many at once; returns how many."""
        ...

    async def release_owner(self, owner_prefix: str) -> None:
        """End the leases of every owner whose name begins so: they are known to be dead."""
        ...


# --- what instances report ------------------------------------------------------------------------------------


class Events(Protocol):
    """What instances reported, in the order of its storing. Raises StoreUnavailable."""

    async def store(
        self,
        report: Report,
        *,
        event_id: str,
        at: datetime,
        meaning: Meaning,
        signed: Signed | None,
        sign: DeliveryEvidence | None,
    ) -> Taken:
        """Store the report unless its signature or its meaning is there already; one transaction.

        The account and workspace are those of the session in the directory. A signature is remembered with the event
        it brought, never without one. The unknown send that `sign` tells of becomes a sent one. Every gateway hears
        EventsStored.
        """
        ...

    async def page(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        kind: str | None = None,
        session_id: SessionId | None = None,
        account_uuid: AccountUuid | None = None,
        aside: bool = False,
    ) -> list[Event]:
        """Events by sequence, oldest first; without a workspace also those that belong to none.

        `aside`: one of many pages of old events, in no hurry, that keeps nobody else waiting.

        What is not there when a page is read never appears before the page's last row later on.
        """
        ...

    async def newest(self, session_id: SessionId, kind: str, *, told_by: InstanceUrl) -> Event | None:
        """The newest event of its kind that this instance told of the session."""
        ...

    async def unseen_since(self, kinds: Collection[str], *, after: int, until: int) -> list[Event]:
        """Events of these kinds, numbered above `after` and up to `until`, about a session that nobody has seen at the
        instance of its record since they were received; oldest first."""
        ...

    async def last_sequence(self) -> int:
        """The newest event's; 0 if there was none yet."""
        ...

    async def prune(self, now: datetime, *, keep_since: datetime, limit: int) -> int:
        """Forget signatures that are too old to be sent again, and at most so many older events; returns how many."""
        ...


# --- instances ------------------------------------------------------------------------------------------------


class Driver(Protocol):
    """Speaks one gateway family's protocol. Each call answers a value or a Fault; it raises only on our own bugs.

    Every call ends within its `timeout_s`, whatever the peer does.
    """

    family: str
    base: Capabilities
    """What the family can do at the least, before an instance has declared more."""

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault: ...

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing: ...

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        """Open many sessions with one call where the gateway can, else one by one; each one's own result.

        A Fault instead of the results: the call itself failed, and nothing is known of any of them.
        """
        ...

    async def session(
        self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float
    ) -> ListedSession | Fault: ...

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault: ...

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """Open the session there. Fault EPOCH_STALE carries the epoch that the credentials are at."""
        ...

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """Close the session, keeping its login. To be sent to the holder only."""
        ...

    async def restart(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> ListedSession | Fault: ...

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """End the link with WhatsApp. Afterwards only pairing anew helps."""
        ...

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """The code in use, as far as the instance tells it without being disturbed; none where it only reports them."""
        ...

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        """A new code; whoever scans the old one scans in vain. An answer without a code: it will be reported."""
        ...


@dataclass(frozen=True, slots=True)
class Roster:
    """The instances as last read from the directory."""

    instances: Mapping[InstanceUrl, Instance] = field(default_factory=dict)

    def active(self) -> list[Instance]:
        return [instance for instance in self.instances.values() if instance.state is InstanceState.ACTIVE]


class Fleet(Protocol):
    """The instances we know, and how to speak to each. Reads nothing from the directory while a message waits."""

    default_url: InstanceUrl | None
    """Where an account without a placement goes."""

    @property
    def roster(self) -> Roster: ...

    def driver(self, url: InstanceUrl) -> Driver:
        """The driver for an address; of one that is not listed any more, the default family's."""
        ...

    def traits(self, url: InstanceUrl) -> Traits:
        """What is true of the family of the instance there, whatever it declares."""
        ...

    async def capabilities(self, url: InstanceUrl, *, timeout_s: float, fresh: bool = False) -> Capabilities | Fault:
        """What the instance declared of itself, asked once and remembered; `fresh`: asked now."""
        ...

    def doubt(self, url: InstanceUrl) -> None:
        """Another incarnation may answer there now: ask again before the next send."""
        ...

    def withdraw_message_id(self, url: InstanceUrl) -> None:
        """The instance was seen not to take our message ids, whatever it declares."""
        ...

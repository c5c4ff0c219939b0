"""The fleet as Homing knows it: instances, accounts, and which instance holds which session.

A *session* is one linked WhatsApp device; it lives, logged in, in at most one *instance* (one gateway
process). The *placement* of a session is our record of where that is. Records can be stale; the epoch orders
them: of two placements of one session, the one with the higher epoch is the later.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self

from homing.model.ids import CLAIMED_EPOCH_MAX as CLAIMED_EPOCH_MAX
from homing.model.ids import EPOCH_MAX as EPOCH_MAX
from homing.model.ids import NEVER_GRANTED as NEVER_GRANTED
from homing.model.ids import AccountUuid as AccountUuid
from homing.model.ids import ContactUuid as ContactUuid
from homing.model.ids import Epoch as Epoch
from homing.model.ids import InstanceUrl as InstanceUrl
from homing.model.ids import SessionId as SessionId
from homing.model.ids import WorkspaceId as WorkspaceId
from homing.model.sends.addresses import AddressKind
from homing.model.sends.content import MessageType
from homing.model.sends.faults import Fault


class PlacementState(StrEnum):
    """Whether the session is where the placement says, or on its way there."""

    HELD = "held"
    MOVING = "moving"


class SessionStatus(StrEnum):
    """One vocabulary for what the gateways say of a session. Only `CONNECTED` can send."""

    CONNECTED = "connected"
    STARTING = "starting"
    PAIRING = "pairing"
    DISCONNECTED = "disconnected"
    LOGGED_OUT = "logged_out"
    FAILED = "failed"
    STOPPED = "stopped"
    QUARANTINED = "quarantined"
    """A stranger uses its login: it is not started again until an operator says so."""
    UNKNOWN = "unknown"

    @property
    def should_run(self) -> bool:
        """Whether its session is meant to be up: not what somebody stopped, unlinked or set aside."""
        return self not in (SessionStatus.LOGGED_OUT, SessionStatus.STOPPED, SessionStatus.QUARANTINED)


class InstanceState(StrEnum):
    """What an operator wants of an instance. A draining one is given nothing new."""

    ACTIVE = "active"
    DRAINING = "draining"


class InstanceMode(StrEnum):
    """What Homing may do with an instance: nothing but look, or everything that its driver can."""

    OBSERVE = "observe"
    """Its sessions are seen and recorded. Nothing is sent through it, started on it or stopped there."""
    ROUTE = "route"


class DeafPolicy(StrEnum):
    """How far Homing may go by itself with a deaf session."""

    OBSERVE = "observe"
    """It says so, and looks; nothing is done to the session."""
    RESTART = "restart"
    """What can be done where it is."""
    FULL = "full"
    """Elsewhere too, where there is a fence."""


class Takeover(StrEnum):
    """Who may start a session on another instance after its own was lost."""

    NEVER = "never"
    MANUAL = "manual"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a gateway family, or one instance of it, can do. Recovery does nothing that is not granted here."""

    choose_message_id: bool = False
    stop_keeps_login: bool = False
    share_credentials: bool = False
    report_location: bool = False
    honour_epoch: bool = False
    hold_lease: bool = False
    sends: frozenset[MessageType] = frozenset({MessageType.TEXT})
    """The types of messages that it takes."""
    reaches: frozenset[AddressKind] = frozenset({AddressKind.PHONE})
    """The kinds of addresses that it sends to."""
    quotes: frozenset[MessageType] = frozenset()
    """The types with which it answers an earlier message (`reply_to`)."""
    mentions: frozenset[MessageType] = frozenset()
    """The types in which it names people (`mentions`)."""
    check_numbers: bool = False
    """It tells whether a number is on WhatsApp, and under which address."""
    mark_read: bool = False
    """It shows to a chat that its messages were read."""
    show_typing: bool = False
    """It shows to a chat that somebody types."""
    read_history: bool = False
    """It shows the newest messages of a chat."""
    fetch_files: bool = False
    """It gives out the files of messages that its sessions have."""
    takes_proxy: bool = False
    """A session of it goes out by the exit proxy that it is given, and by no other way."""
    typed_codes: bool = False
    """It makes codes to type into the phone that is named, beside those to scan."""

    def by_name(self) -> dict[str, bool | list[str]]:
        """As it is told to others; what there are several of, in alphabetical order."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value if isinstance(value, bool) else sorted(value) for name, value in said.items()}

    def without_message_id(self) -> Self:
        """The same, after the instance was seen to answer with another message id than the one we chose."""
        return replace(self, choose_message_id=False)


@dataclass(frozen=True, slots=True)
class Instance:
    """One gateway process, as the directory knows it. `capacity` is in sessions; None means not declared.

    `memory_limit_mb` and `sends_limit_per_s` are the other two things that it may run out of. Labels (region, engine,
    proxy…) are matched against what accounts require.
    """

    id: int
    url: InstanceUrl
    driver: str = "webjs"
    name: str = ""
    state: InstanceState = InstanceState.ACTIVE
    capacity: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    memory_limit_mb: float | None = None
    sends_limit_per_s: float | None = None
    mode: InstanceMode = InstanceMode.ROUTE
    storage: str | None = None
    """The name of the storage that its sessions' logins lie on; instances of one name share it. None: its own disk."""
    exited_at: datetime | None = None
    """Since when no process of it runs, by the word of whoever supervises it; None once it was heard of again."""
    key_salt: str | None = None
    """What its own key is derived from, with our secret; None: it was given none when it joined."""
    strays: int | None = None
    """How many sessions it listed that are not placed on it, when its list was last compared; None: not yet."""
    sealed_key: str | None = field(default=None, repr=False)
    """The key that its gateway wants, sealed; None: it has none of its own here."""
    mode_since: datetime | None = None
    """Since when its mode is what it is; None: since it joined."""


@dataclass(frozen=True, slots=True)
class InstanceLoad:
    """How much the directory has placed on an instance.

    `connected` are known to be so (`decide.knowledge.presence`) as long as the instance can be reached; each of them
    was seen so at `seen_at` or later.
    """

    instance: Instance
    sessions: int
    connected: int
    phones: tuple[str, ...] = ()
    seen_at: datetime | None = None

    def away(self) -> "InstanceLoad":
        """The same, of an instance that cannot be reached: of none of its sessions it is known that it is connected."""
        return replace(self, connected=0, phones=(), seen_at=None)


@dataclass(frozen=True, slots=True)
class Placement:
    """Our record of where a session lives. `instance_url` is None while it was never placed."""

    session_id: SessionId
    instance_url: InstanceUrl | None
    epoch: Epoch = NEVER_GRANTED
    state: PlacementState = PlacementState.HELD


@dataclass(frozen=True, slots=True)
class Linking:
    """When a session last showed that its phone is linked, or that it is not; by the store's clock.

    Only what its holder reports counts, or the instance that it was started on.
    """

    code_at: datetime | None = None
    """A code to link its phone with was reported."""
    ready_at: datetime | None = None
    """It was reported ready, or seen connected."""
    logout_at: datetime | None = None
    """It was reported that its link has ended."""
    started_at: datetime | None = None
    """An instance was told to start or restart it."""


@dataclass(frozen=True, slots=True)
class Route:
    """All that a send must know about an account: whose it is, its session, and where that lives."""

    account_id: int
    account_uuid: AccountUuid
    workspace_id: WorkspaceId
    placement: Placement
    phone: str = ""
    status: SessionStatus = SessionStatus.UNKNOWN
    mismatched_phone: str | None = None
    """The phone that its instance reports for the session, if that is somebody else's than the account's."""
    linking: Linking = Linking()
    """Read where it is judged where the session is; not for every send."""
    paced: bool = False
    """Somebody has set how fast it may write. Read with the routes of sends alone."""

    @property
    def session_id(self) -> SessionId:
        return self.placement.session_id

    @property
    def quarantined(self) -> bool:
        return self.status is SessionStatus.QUARANTINED


class Placed(NamedTuple):
    """One session as it is placed on an instance, in as few words as a look at a million of them needs."""

    session_id: SessionId
    epoch: Epoch
    account_id: int
    phone: str
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """One WhatsApp phone identity of a workspace, with the placement of its session."""

    id: int
    uuid: AccountUuid
    workspace_id: WorkspaceId
    phone: str
    name: str
    placement: Placement
    status: SessionStatus
    takeover: Takeover
    created_at: datetime
    last_verified_at: datetime | None = None
    requires: dict[str, str] = field(default_factory=dict)
    """Labels that an instance must have to hold its session."""
    mismatched_phone: str | None = None
    """The phone that its instance reports for the session, if that is somebody else's than the account's."""
    status_at: datetime | None = None
    """When its status or its placement last changed."""
    person: str | None = None
    """Whose phone it is: the E.164 digits by which its spellings are compared. None where that cannot be told."""
    linking: Linking = Linking()
    native_id: str | None = None
    """What its gateway calls its session, where such names are local to a gateway."""
    deaf_policy: DeafPolicy | None = None
    """What may be done by itself once it is deaf; None: as its workspace says."""
    exit_proxy: str | None = None
    """By which proxy its session goes out, its login masked; None: by its instance's own address."""

    @property
    def session_id(self) -> SessionId:
        return self.placement.session_id


@dataclass(frozen=True, slots=True)
class Contact:
    """A person whom a workspace writes to. `phone` is in E.164 without the plus, as the gateways take it;
    `phone_as_written` is what was given, None where that was not kept."""

    id: int
    uuid: ContactUuid
    workspace_id: WorkspaceId
    phone: str
    name: str
    created_at: datetime
    phone_as_written: str | None = None


@dataclass(frozen=True, slots=True)
class ListedSession:
    """One row of an instance's session list. `epoch` is None where the gateway knows of no epochs."""

    session_id: SessionId
    status: SessionStatus
    phone: str | None = None
    epoch: Epoch | None = None
    idle_s: float | None = None
    """Since when nothing was said, where the gateway tells."""
    error: str | None = None
    """Why it cannot go on, in the gateway's word."""
    workspace_id: WorkspaceId | None = None
    """Whose it is, by the gateway's word; None where it does not say."""
    surely_unlinked: bool = False
    """That it is `pairing` is a fact: its gateway tells a paired session that comes up from one that shows a code."""
    native_id: str | None = None
    """What its gateway calls it, where such names are local to a gateway (`homing.model.instances.native_names`)."""

    @property
    def can_send(self) -> bool:
        return self.status is SessionStatus.CONNECTED


@dataclass(frozen=True, slots=True)
class SessionList:
    """What one instance answered when asked for its sessions."""

    instance_url: InstanceUrl
    sessions: dict[SessionId, ListedSession]
    oddities: tuple[str, ...] = ()
    """Rows that could not be taken as they stood, each as a sentence."""


@dataclass(frozen=True, slots=True)
class NoList:
    """An instance whose session list could not be read. It proves nothing about any session."""

    instance_url: InstanceUrl
    reason: str
    fault: "Fault | None" = None
    """What the call for it met."""

    @property
    def category(self) -> str:
        """The reason without the instance's own words."""
        return self.fault.category if self.fault is not None else self.reason


Listing = SessionList | NoList


class MoveKind(StrEnum):
    """What a move changed: what we know (`rediscovery`), or the world (all others)."""

    PLACEMENT = "placement"
    REDISCOVERY = "rediscovery"
    REHOME = "rehome"
    MIGRATION = "migration"
    TAKE_BACK = "take_back"


@dataclass(frozen=True, slots=True)
class Rebinding:
    """A change of one placement, wanted because of `reason`. It holds only if `expected` is still the record."""

    expected: Placement
    instance_url: InstanceUrl
    epoch: Epoch
    kind: MoveKind
    reason: str
    state: PlacementState = PlacementState.HELD
    claimed: bool = False
    """It rests on an instance's word for its epoch. Of a session in the vault that must be the vault's own."""

    @property
    def session_id(self) -> SessionId:
        return self.expected.session_id

    @property
    def placement(self) -> Placement:
        return Placement(self.session_id, self.instance_url, self.epoch, self.state)


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the log of moves: which session went where, under which epoch, and why."""

    id: int
    kind: MoveKind
    session_id: SessionId
    account_id: int
    workspace_id: WorkspaceId
    from_url: InstanceUrl | None
    to_url: InstanceUrl | None
    epoch: Epoch
    reason: str
    at: datetime
    duration_ms: int | None = None
    """From the wish to move it until it could send; None while it is on its way, and for a rediscovery."""
    run_id: str | None = None
    fence: str | None = None
    steps: dict[str, int] = field(default_factory=dict)
    """How long each part took, in ms."""
    trace_id: str | None = None
    """The trace of the request in which it was found out, if its caller named one."""

"""What gateways on one directory tell each other."""

from dataclasses import dataclass

from homing.model.fleet import AccountUuid, ContactUuid, Epoch, InstanceUrl, SessionId, WorkspaceId


@dataclass(frozen=True, slots=True)
class PlacementChanged:
    """A session's placement is no longer what it was. `epoch` is that of the new placement."""

    session_id: SessionId
    account_uuid: AccountUuid
    epoch: Epoch
    old_url: InstanceUrl | None = None
    new_url: InstanceUrl | None = None


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """An account or contact was changed or deleted in another way than by moving."""

    account_uuid: AccountUuid | None = None
    contact_uuid: ContactUuid | None = None


@dataclass(frozen=True, slots=True)
class RosterChanged:
    """The list of instances is not what it was."""


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """The API keys are not what they were."""


@dataclass(frozen=True, slots=True)
class WorkspacesChanged:
    """What is set of workspaces is not what it was."""


@dataclass(frozen=True, slots=True)
class OptOutsChanged:
    """Somebody was added to the workspace's suppression list, or taken off it."""

    workspace_id: WorkspaceId


@dataclass(frozen=True, slots=True)
class EventsStored:
    """Instances reported something; the newest event has this number."""

    sequence: int


@dataclass(frozen=True, slots=True)
class AlertsChanged:
    """Other alerts stand than before."""


@dataclass(frozen=True, slots=True)
class CacheCleared:
    """Somebody asked for an empty route cache, or notices may have been missed: nothing cached can be trusted."""

    reason: str = "cleared by an operator"


@dataclass(frozen=True, slots=True)
class WorkReady:
    """There is work of this kind to claim, now or at a known time."""

    kind: str


@dataclass(frozen=True, slots=True)
class OutboxChanged:
    """Something was added to the account's lane, or changed in it."""

    account_uuid: AccountUuid


Notice = (
    PlacementChanged
    | AccountChanged
    | RosterChanged
    | KeysChanged
    | WorkspacesChanged
    | OptOutsChanged
    | AlertsChanged
    | CacheCleared
    | WorkReady
    | EventsStored
    | OutboxChanged
)

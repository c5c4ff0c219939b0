"""What is to be new or different in the directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from homing.model.access import RateLimit
from homing.model.fleet import AccountUuid, InstanceMode, SessionId, Takeover, WorkspaceId
from homing.model.phones import Bare


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

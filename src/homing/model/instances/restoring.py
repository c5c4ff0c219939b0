"""What is known of sessions that should be open on an instance, and of what that instance and its like just said.

All ages are in seconds, at the moment of asking.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from homing.model.fleet import InstanceUrl, Placement, SessionId, SessionStatus, WorkspaceId


@dataclass(frozen=True, slots=True)
class Offered:
    """The session was handed out to be restored: to whom, how long ago, and as which of those given together."""

    to_url: InstanceUrl
    ago_s: float
    place: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session as it is recorded.

    `seen_ago_s` is since when nobody has seen it able to send, None if nobody ever did. `started_ago_s` is how long ago
    an instance was last told to start it. `in_vault`: its login is there, and what holds for leases holds for it.
    """

    session_id: SessionId
    account_id: int
    workspace_id: WorkspaceId
    placement: Placement
    status: SessionStatus
    seen_ago_s: float | None
    started_ago_s: float | None = None
    offered: Offered | None = None
    in_vault: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """An instance gave its list. `uptime_s`: for how long its process runs; None where the gateway does not tell.

    `refused_ago_s`: how long ago it last refused a connection, as far as we met it.
    """

    url: InstanceUrl
    sessions: Mapping[SessionId, SessionStatus]
    uptime_s: float | None = None
    refused_ago_s: float | None = None


@dataclass(frozen=True, slots=True)
class Silent:
    """An instance gave no list. `exited`: it refuses connections, and was said to have exited."""

    url: InstanceUrl
    reason: str
    exited: bool = False


Look = Answered | Silent
Looks = Mapping[InstanceUrl, Look]

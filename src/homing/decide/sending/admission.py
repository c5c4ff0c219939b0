"""May one more send be let in, or is somebody's share of what one gateway can drive at once full?

A send that waits, for its session, for a connection or for the database, holds a place until its deadline. So the
places are shared: among the workspaces, and within each among its sessions.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.shares import may_take


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """How many sends may be in progress: in all, of one workspace, and of one session, if others leave as much."""

    sends: int = 2_000
    of_a_workspace: int = 1_000
    of_a_session: int = 500


def modest(policy: AdmissionPolicy) -> int:
    """With fewer than so many in progress in all, `admit` lets everybody in, whoever has them."""
    return min(policy.sends // 3, policy.of_a_workspace // 2, policy.of_a_session)


class Share(StrEnum):
    """Whose places are all taken."""

    GATEWAY = "gateway"
    WORKSPACE = "workspace"
    SESSION = "session"


class InProgress(NamedTuple):
    """The sends in progress: in all, of the workspace in question, and of its session in question."""

    sends: int
    of_workspace: int
    of_session: int


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """Not now. What is in progress of others goes on."""

    whose: Share
    reason: str


def admit(now: InProgress, workspace: WorkspaceId, account: AccountUuid, policy: AdmissionPolicy) -> NotAdmitted | None:
    """Whose share is full; None if one more send of the account's session may be let in."""
    free = policy.sends - now.sends
    if free <= 0:
        return NotAdmitted(Share.GATEWAY, f"{now.sends} sends are in progress on this gateway, which is its limit")
    if not may_take(now.of_workspace, free, policy.of_a_workspace):
        return NotAdmitted(
            Share.WORKSPACE,
            f"workspace {workspace} has {now.of_workspace} sends in progress, which is its share",
        )
    left = min(policy.of_a_workspace, free) - now.of_workspace
    if not may_take(now.of_session, left, policy.of_a_session):
        return NotAdmitted(
            Share.SESSION,
            f"the session of account {account} has {now.of_session} sends in progress, which is its share",
        )
    return None

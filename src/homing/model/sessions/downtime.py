"""When sessions could not send, and for how long: what is kept of it, and what a month of it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from homing.model.ids import SessionId, WorkspaceId


@dataclass(frozen=True, slots=True)
class Outage:
    """A session could not send, for one reason. `continues`: it could not before either, for another reason.

    `ended_at` is None while it lasts.
    """

    session_id: SessionId
    account_id: int
    workspace_id: WorkspaceId
    reason: str
    began_at: datetime
    ended_at: datetime | None = None
    continues: bool = False
    trace_id: str | None = None
    """Of the report or the move that it came of, as the ledger found it when it was written down."""


@dataclass(frozen=True, slots=True)
class Downtime:
    """What a month came to for one session. Seconds; `repairs_s` is how long each outage took that ended in it."""

    session_id: SessionId
    account_id: int
    workspace_id: WorkspaceId
    down_s: float = 0.0
    outages: int = 0
    repairs_s: tuple[float, ...] = ()
    reasons_s: Mapping[str, float] = field(default_factory=dict)
    failed_sends: int = 0
    down_now: bool = False

    @property
    def time_to_repair_s(self) -> float | None:
        """The mean; None if none ended."""
        return sum(self.repairs_s) / len(self.repairs_s) if self.repairs_s else None

"""What Homing sees of gateways that it only observes, and what it would have done there."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homing.model.fleet import InstanceMode, InstanceUrl, SessionId


class WouldKind(StrEnum):
    """What would have been done if the instance were routed."""

    MOVE = "move"
    """The session would be brought to another instance."""
    START = "start"
    """The session would be started where it is recorded."""
    CORRECTION = "correction"
    """The session was found elsewhere than recorded: sends would go there. The record has followed."""
    ALERT = "alert"
    """A person would have been alerted."""


@dataclass(frozen=True, slots=True)
class WouldHave:
    """One thing that would have been done, and why. `session_id` is empty where it concerns the instance as a whole.

    It was called for `times` times between `first_at` and `last_at`; the reason is the newest.
    """

    instance_url: InstanceUrl
    kind: WouldKind
    session_id: SessionId
    reason: str
    first_at: datetime
    last_at: datetime
    times: int = 1


@dataclass(frozen=True, slots=True)
class Watched:
    """One list of an observed instance against the record: so many sessions are recorded there, so many were seen.

    `failed`: the list could not be read, and nothing was seen or missed.
    """

    instance_url: InstanceUrl
    at: datetime
    recorded: int = 0
    seen: int = 0
    strays: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the lists of one instance agreed with the record over some time.

    `recorded` and `seen` are summed over all lists that were read; `strays` is what the newest of them listed besides.
    """

    lists: int = 0
    lists_failed: int = 0
    recorded: int = 0
    seen: int = 0
    strays: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def share(self) -> float | None:
        """Which part of the sessions was seen where it is recorded, 0 to 1; None before the first list."""
        return self.seen / self.recorded if self.recorded else None


@dataclass(frozen=True, slots=True)
class ObservationReport:
    """How an instance's observation stands: what was seen, what would have been done, and whether it may be routed."""

    instance_url: InstanceUrl
    driver: str
    mode: InstanceMode
    sessions: int
    agreement: Agreement
    would_haves: dict[WouldKind, int]
    ready: bool
    reason: str

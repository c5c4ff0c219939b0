"""A customer's webhook receiver, and what it is to be told."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from homing.model.fleet import WorkspaceId

EndpointId = NewType("EndpointId", str)


class EventType(StrEnum):
    """What customers are told of, whatever the gateway family. Stable words: customers' code compares them."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_READ = "message.read"
    MESSAGE_EDITED = "message.edited"
    MESSAGE_REVOKED = "message.revoked"
    MESSAGE_REACTION = "message.reaction"
    MESSAGE_FAILED = "message.failed"
    SESSION_STATUS = "session.status"
    SESSION_MOVED = "session.moved"
    BATCH_DONE = "batch.done"
    ENDPOINT_TEST = "endpoint.test"
    """Sent when somebody asks for it, to one endpoint, whatever its filter."""


class EndpointState(StrEnum):
    """Whether an endpoint is told anything."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class RetrySchedule(StrEnum):
    """How long an endpoint is tried: `standard` over three days, `short` over 15 s."""

    STANDARD = "standard"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What a customer sets of an endpoint.

    `events` are types, or `message.*`; empty: all. `ordered`: of one chat one delivery at a time, in the order of the
    events. `rate_per_s` is at most so many deliveries begun in a second, `concurrency` so many at once.
    """

    url: str
    name: str = ""
    events: tuple[str, ...] = ()
    schedule: RetrySchedule = RetrySchedule.STANDARD
    ordered: bool = False
    rate_per_s: int | None = None
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How telling it goes. `failures` are attempts that failed in a row; before `retry_at` none is begun."""

    failures: int = 0
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    latency_ms: int = 0
    last_success_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """An endpoint as it is kept; its secrets are elsewhere. `backlog_full`: nothing new is put behind what waits."""

    id: EndpointId
    workspace_id: WorkspaceId
    settings: EndpointSettings
    state: EndpointState
    state_reason: str
    health: EndpointHealth
    backlog_full: bool
    created_at: datetime
    updated_at: datetime
    previous_secret_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A signing secret at rest: the name of the key that opens it, and the sealed text."""

    key_id: str
    text: bytes


@dataclass(frozen=True, slots=True)
class EndpointSecrets:
    """The secret that signs, and the one before a rotation for as long as both do."""

    newest: SealedSecret
    previous: SealedSecret | None = None

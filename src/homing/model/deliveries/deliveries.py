"""One event on its way to one endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from homing.model.deliveries.endpoints import EndpointId
from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, WorkspaceId

DeliveryId = NewType("DeliveryId", int)


class DeliveryState(StrEnum):
    """Where a delivery stands. `dead` ones stay until they are replayed or forgotten."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened here, to be told like a report: `kind` and `payload` are as reports have them.

    `id` is the event's own, which customers see as `webhook-id`. `session_id` is empty for what is of no session.
    """

    id: str
    kind: str
    workspace_id: WorkspaceId
    at: datetime
    payload: Mapping[str, Any]
    session_id: SessionId | None = None
    account_uuid: AccountUuid | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event to one endpoint. `event_id` is its `webhook-id`, in each attempt and each replay.

    `attempts` counts all that ended, `round_attempts` those since it was made or replayed. Of one `lane` an ordered
    endpoint gets one at a time. `status` is the newest attempt's, if there was an answer.
    """

    id: DeliveryId
    endpoint_id: EndpointId
    workspace_id: WorkspaceId
    sequence: int
    event_id: str
    type: str
    lane: str
    state: DeliveryState
    due_at: datetime
    attempts: int
    round_attempts: int
    status: int | None
    reason: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """An event as it is told to customers: what was stored, with its numbers within its session and its chat."""

    id: str
    sequence: int
    type: str
    kind: str
    at: datetime
    payload: Mapping[str, Any]
    workspace_id: WorkspaceId
    session_id: SessionId | None
    account_uuid: AccountUuid | None
    chat: str
    session_sequence: int | None
    chat_sequence: int | None
    instance_url: InstanceUrl | None = None
    """Which instance told of it."""


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery to be made now; its event is gone if it was forgotten meanwhile."""

    delivery: Delivery
    event: ToldEvent | None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try: when it began, how long it took, and what came of it. `body` is the answer's beginning."""

    number: int
    at: datetime
    latency_ms: int
    status: int | None
    reason: str
    body: str


@dataclass(frozen=True, slots=True)
class Attempted:
    """A delivery, its attempt, and what follows from it: its state, and in how many seconds it is due if it is pending.

    Not `called`: the event could not be told to anybody, which says nothing of the endpoint.
    """

    delivery: Delivery
    attempt: DeliveryAttempt
    state: DeliveryState
    after_s: float = 0.0
    called: bool = True

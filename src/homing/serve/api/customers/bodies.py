"""What requests about endpoints look like, and how endpoints, deliveries and attempts are shown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from homing.flows.deliveries.managing import Tried
from homing.model.deliveries.deliveries import Delivery, DeliveryAttempt, DeliveryState
from homing.model.deliveries.endpoints import EndpointRecord, EndpointSettings, RetrySchedule

Url = Annotated[str, Meta(min_length=1, max_length=2000)]
EventNames = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=40)], ...], Meta(max_length=20)]
Label = Annotated[str, Meta(max_length=200)]
RatePerS = Annotated[int, Meta(ge=1, le=10_000)]
Concurrency = Annotated[int, Meta(ge=1, le=64)]
GivenSecret = Annotated[str, Meta(min_length=1, max_length=200)]
ScheduleName = Literal["standard", "short"]


class EndpointBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A receiver of events. `events` are types (`message.received`) or groups (`message.*`); empty: all of them.

    `ordered`: within a chat one delivery at a time, in the order of the events. `schedule`: `standard` tries for three
    days, `short` after 1, 2, 4 and 8 s. `secret`: one that its owner has already; else one is made.
    """

    url: Url
    workspace_id: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    name: Label = ""
    events: EventNames = ()
    schedule: ScheduleName = "standard"
    ordered: bool = False
    rate_per_s: RatePerS | None = None
    concurrency: Concurrency = 8
    secret: GivenSecret | None = None

    def settings(self) -> EndpointSettings:
        return EndpointSettings(
            url=self.url,
            name=self.name,
            events=self.events,
            schedule=RetrySchedule(self.schedule),
            ordered=self.ordered,
            rate_per_s=self.rate_per_s,
            concurrency=self.concurrency,
        )


class EndpointChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What may be changed of an endpoint; what is not given stays. `rate_per_s`: null for no limit."""

    url: Url | UnsetType = UNSET
    name: Label | UnsetType = UNSET
    events: EventNames | UnsetType = UNSET
    schedule: ScheduleName | UnsetType = UNSET
    ordered: bool | UnsetType = UNSET
    rate_per_s: RatePerS | UnsetType | None = UNSET
    concurrency: Concurrency | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def settings(self, before: EndpointSettings) -> EndpointSettings:
        """As they are from now on."""
        given = {name: value for name in _SETTINGS if (value := getattr(self, name)) is not UNSET}
        if "schedule" in given:
            given["schedule"] = RetrySchedule(given["schedule"])
        return replace(before, **given)


_SETTINGS = ("url", "name", "events", "schedule", "ordered", "rate_per_s", "concurrency")


class SecretRotationBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For how many seconds the secret before signs too, and, if its owner has one already, the new secret."""

    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400
    secret: GivenSecret | None = None


class ReplayBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which deliveries are made once more: these, by their ids; or the events of a time, to one endpoint.

    `state`: only those whose delivery ended so. Without it an endpoint is also told what it was never told before.
    """

    ids: Annotated[tuple[Annotated[int, Meta(ge=1, le=2**63 - 1)], ...], Meta(max_length=1000)] = ()
    endpoint_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: Literal["dead", "delivered"] | None = None


class ReplayedView(msgspec.Struct):
    """How many deliveries are made once more."""

    replayed: int


class EndpointView(msgspec.Struct, omit_defaults=False):
    """An endpoint. `secret` is shown when it is made or rotated, and never again.

    `failures` counts attempts that failed in a row, `pending` and `dead` the deliveries that wait or were given up.
    """

    id: str
    workspace_id: int
    url: str
    name: str
    events: list[str]
    schedule: str
    ordered: bool
    rate_per_s: int | None
    concurrency: int
    state: str
    state_reason: str
    failures: int
    failing_since: datetime | None
    last_success_at: datetime | None
    latency_ms: int
    backlog_full: bool
    pending: int | None
    dead: int | None
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime
    secret: str | UnsetType = UNSET


class EndpointListing(msgspec.Struct):
    """A page of endpoints: `next` is what to pass as `after` for the page behind it, null on the last."""

    data: list[EndpointView]
    next: str | None = None


class TriedView(msgspec.Struct):
    """How an endpoint took a trial: its answer, or why there was none."""

    webhook_id: str
    delivered: bool
    status: int | None
    latency_ms: int
    reason: str
    body: str


class AttemptView(msgspec.Struct):
    """One attempt. `body` is the beginning of what the endpoint answered."""

    number: int
    at: datetime
    latency_ms: int
    status: int | None
    reason: str
    body: str


class DeliveryView(msgspec.Struct):
    """One event to one endpoint. `event_id` is its `webhook-id`, in each attempt and each replay."""

    id: int
    endpoint_id: str
    workspace_id: int
    event_id: str
    event_sequence: int
    type: str
    state: str
    attempts: int
    due_at: datetime | None
    status: int | None
    reason: str
    created_at: datetime
    finished_at: datetime | None
    log: list[AttemptView] | UnsetType = UNSET


def endpoint_view(
    record: EndpointRecord, counts: Mapping[DeliveryState, int] | None = None, secret: str | None = None
) -> EndpointView:
    made, health = record.settings, record.health
    return EndpointView(
        id=record.id,
        workspace_id=record.workspace_id,
        url=made.url,
        name=made.name,
        events=list(made.events),
        schedule=made.schedule.value,
        ordered=made.ordered,
        rate_per_s=made.rate_per_s,
        concurrency=made.concurrency,
        state=record.state.value,
        state_reason=record.state_reason,
        failures=health.failures,
        failing_since=health.failing_since,
        last_success_at=health.last_success_at,
        latency_ms=health.latency_ms,
        backlog_full=record.backlog_full,
        pending=None if counts is None else counts.get(DeliveryState.PENDING, 0),
        dead=None if counts is None else counts.get(DeliveryState.DEAD, 0),
        previous_secret_until=record.previous_secret_until,
        created_at=record.created_at,
        updated_at=record.updated_at,
        secret=UNSET if secret is None else secret,
    )


def delivery_view(delivery: Delivery, attempts: list[DeliveryAttempt] | None = None) -> DeliveryView:
    waits = delivery.state is DeliveryState.PENDING
    return DeliveryView(
        id=delivery.id,
        endpoint_id=delivery.endpoint_id,
        workspace_id=delivery.workspace_id,
        event_id=delivery.event_id,
        event_sequence=delivery.sequence,
        type=delivery.type,
        state=delivery.state.value,
        attempts=delivery.attempts,
        due_at=delivery.due_at if waits else None,
        status=delivery.status,
        reason=delivery.reason,
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
        log=UNSET if attempts is None else [_attempt_view(each) for each in attempts],
    )


def tried_view(tried: Tried) -> TriedView:
    return TriedView(tried.webhook_id, tried.delivered, tried.status, tried.latency_ms, tried.reason, tried.body)


def _attempt_view(attempt: DeliveryAttempt) -> AttemptView:
    return AttemptView(attempt.number, attempt.at, attempt.latency_ms, attempt.status, attempt.reason, attempt.body)

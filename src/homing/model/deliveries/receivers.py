"""Who is told of alerts, and what is not told for a while."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from homing.model.alerts import About, Alert, AlertKind

ReceiverId = NewType("ReceiverId", str)


class ReceiverKind(StrEnum):
    """In which form a receiver takes alerts."""

    WEBHOOK = "webhook"
    """A JSON document for each group, signed like customers' deliveries."""
    SLACK = "slack"
    """An incoming webhook of Slack's, as Mattermost and others take it too."""
    ALERTMANAGER = "alertmanager"
    """Prometheus' Alertmanager, `/api/v2/alerts`."""
    EMAIL = "email"
    HEARTBEAT = "heartbeat"
    """A dead man's switch: called every minute while we work, and told nothing else."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver as it is kept. `options` depend on the kind; of e-mail: `server`, `port`, `from`, `user`, `tls`."""

    id: ReceiverId
    name: str
    kind: ReceiverKind
    target: str
    created_at: datetime
    options: Mapping[str, Any] = field(default_factory=dict)
    failing_since: datetime | None = None
    last_error: str = ""
    last_told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """An alert that a receiver believes to stand. `alert_id` is the same from every gateway and in each repeat."""

    alert_id: str
    alert: Alert
    told_at: datetime | None = None
    """When it was told that it stands, last; None if it was not yet."""
    reminder: int = 0
    """It is told again, so many times after the first; 0: for the first time."""


@dataclass(frozen=True, slots=True)
class Reminding:
    """How often a receiver is told of an alert that goes on standing: `times` in all, `every_s` apart."""

    every_s: float
    times: int


@dataclass(frozen=True, slots=True)
class AlertPlace:
    """Where the subject of an alert is: its instance, the machine that this runs on, its engine with the version."""

    instance: str = ""
    host: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class AlertSilence:
    """What is not told until a time: alerts of a kind, about a kind of thing, or about one; None matches all."""

    id: str
    until: datetime
    reason: str
    created_by: str
    created_at: datetime
    kind: AlertKind | None = None
    about: About | None = None
    subject: str = ""

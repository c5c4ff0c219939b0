"""What requests on instances hold, and how instances, their strays and their emptying are shown."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from homing.decide.fleet.brake import Clear, Engaged
from homing.decide.knowledge.identity import phone_of
from homing.decide.knowledge.stray_sessions import Stray, StrayKind
from homing.flows.discovery.stray_sessions import StraysFound
from homing.flows.failover.exits import Exited
from homing.flows.moves.prospects import Prospect
from homing.flows.operations.drain import Drain, Stuck
from homing.flows.webhooks.unknown_senders import UnknownSender
from homing.model.alerts import Alert
from homing.model.fleet import InstanceLoad
from homing.model.instances.health import MISCONFIGURED, HealthJudgment, shown_state
from homing.model.instances.leases import Incarnation
from homing.model.sends.faults import Fault
from homing.ports import InstanceHealth
from homing.serve.api.attention import AttentionView, attention_view
from homing.serve.api.fields import Amount, BootName, Family, Labels, Name, Positive


class InstanceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A gateway that joins the fleet. `capacity` is in sessions. `force`: whatever answers there, and how.

    Without `driver` it is that of the family that is recognised there; `webjs` where nothing answers yet.
    """

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    driver: Family | None = None
    name: Name = ""
    capacity: Positive | None = None
    memory_limit_mb: Amount | None = None
    sends_limit_per_s: Amount | None = None
    labels: Labels = {}
    force: bool = False


class InstanceChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of an instance. Null takes a limit, or the storage, away; `labels` replaces all of them.

    Instances with the same `storage` keep the logins of their sessions in one place.
    """

    driver: Family | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    capacity: Positive | UnsetType | None = UNSET
    memory_limit_mb: Amount | UnsetType | None = UNSET
    sends_limit_per_s: Amount | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    mode: Literal["observe", "route"] | UnsetType = UNSET
    storage: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType | None = UNSET


class ExitedBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """No process of the instance runs any more; with `incarnation`, none of that boot."""

    incarnation: BootName | None = None


class ExitedByUrlBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The same, of the instance at this address."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    incarnation: BootName | None = None


class LeaseView(msgspec.Struct):
    """The right of an instance's newest boot to act. `ended` says how it ended, if somebody said so."""

    held: bool
    left_s: float
    renewed_ago_s: float
    incarnation: str
    ended: str | None


class StuckView(msgspec.Struct):
    """A session that stays until somebody does something about it."""

    account_id: int
    phone: str
    session_id: str
    reason: str


class DrainView(msgspec.Struct):
    """How far an instance is with being emptied. `stuck_sessions` names the first hundred of the `stuck`.

    `leaving` and `staying` are told when it is asked for: how many can leave as things stand, and how many cannot, of
    which `staying_sessions` names the first hundred with their reasons.
    """

    instance_url: str
    state: str
    remaining: int
    moving: int
    stuck: int
    unwished: int
    delayed: dict[str, int]
    stuck_sessions: list[StuckView]
    leaving: int | None = None
    staying: int | None = None
    staying_sessions: list[StuckView] = []


class InstanceView(msgspec.Struct):
    """One gateway of the fleet: what the directory has on it, what it says of itself, and how it is judged.

    `connected` counts what is known now; each of these sessions was seen connected at `connected_since` or later.
    `report_to` is what a process of the Node service there needs as LARAVEL_URL, since it cannot say which instance it
    is; null where that is not needed. `warning`: what was odd when it joined, or is about its version.
    `api_key` is its own key, shown once, in the answer to its joining: it shows it to us, and we to it.
    """

    id: int
    url: str
    driver: str
    name: str
    state: str
    capacity: int | None
    memory_limit_mb: float | None
    sends_limit_per_s: float | None
    labels: dict[str, str]
    sessions: int
    connected: int
    healthy: bool
    detail: str
    health: str | None = None
    reason: str | None = None
    lease: LeaseView | None = None
    engine: str | None = None
    version: str | None = None
    incarnation: str | None = None
    memory_used_mb: float | None = None
    sends_per_s: float | None = None
    forecast_sends_per_s: float | None = None
    draining: DrainView | None = None
    capabilities: dict[str, bool | list[str]] | None = None
    mode: str = "route"
    storage: str | None = None
    report_to: str | None = None
    warning: str | None = None
    api_key: str | None = None
    strays: int | None = None
    connected_since: datetime | None = None
    starts_per_min: int | None = None
    """How many sessions are started there within a minute at the most; null: as many as come."""
    attention: list[AttentionView] = []


class UnknownSenderView(msgspec.Struct):
    """Who speaks to us and cannot be told from others: what it calls itself, and what to set, and where."""

    named: str
    cause: str
    reports: int
    last_at: datetime | None
    do: str


class BrakeView(msgspec.Struct):
    """Whether so much of the fleet seems gone at once that nothing is moved, and why."""

    engaged: bool
    reason: str


class InstancesView(msgspec.Struct):
    """All instances; whether so much of the fleet seems gone that nothing is moved; and who reports unknown."""

    data: list[InstanceView]
    next: None
    brake: BrakeView
    unknown_senders: list[UnknownSenderView]


class ExitedView(msgspec.Struct):
    """What came of the word that an instance exited. `staying` counts, by reason, the sessions that do not move."""

    instance_url: str
    boots: int
    sessions: int
    wanted: int
    staying: dict[str, int]
    note: str
    """What whoever said so should know, such as that the browsers must be gone too."""


class StrayView(msgspec.Struct):
    """A session that an instance lists and that is not placed there.

    `kind` is `unknown` (no account has it), `elsewhere` (the account's record says another place) or `same_phone` (no
    account has it, and `account_id` has its phone). `adopt` is the command that takes it up where it is.
    """

    instance_url: str
    session_id: str
    kind: str
    status: str
    phone: str | None
    workspace_id: int | None
    epoch: int | None
    account_id: int | None
    reason: str
    adopt: str | None


class StraysView(msgspec.Struct):
    """So many `strays`; `data` has the first hundred."""

    instance_url: str
    strays: int
    data: list[StrayView]


def instance_view(load: InstanceLoad, health: InstanceHealth | Fault, alerts: Sequence[Alert] = ()) -> InstanceView:
    known = load.instance
    if isinstance(health, Fault):
        load = load.away()
    shown = InstanceView(
        id=known.id,
        url=known.url,
        driver=known.driver,
        name=known.name,
        state=known.state.value,
        capacity=known.capacity,
        memory_limit_mb=known.memory_limit_mb,
        sends_limit_per_s=known.sends_limit_per_s,
        labels=known.labels,
        sessions=load.sessions,
        connected=load.connected,
        healthy=not isinstance(health, Fault),
        detail=health.category if isinstance(health, Fault) else "paused" if health.paused else "answers",
        mode=known.mode.value,
        storage=known.storage,
        strays=known.strays,
        connected_since=load.seen_at,
        attention=attention_view(alerts),
    )
    if isinstance(health, InstanceHealth):
        shown.warning = health.unchecked
        shown.engine, shown.version, shown.incarnation = health.engine, health.version, health.incarnation
        shown.memory_used_mb, shown.sends_per_s = health.memory_used_mb, health.sends_per_s
        shown.capabilities = health.capabilities.by_name()
    return shown


def judge(
    shown: InstanceView, judged: HealthJudgment | None, boot: Incarnation | None, misconfigured: str | None = None
) -> None:
    """Add how the instance is judged, the lease of its newest boot, and why it does not work as it is set up."""
    if judged is not None:
        shown.health, shown.reason = shown_state(judged, misconfigured is not None), judged.reason
        if shown.health == MISCONFIGURED:
            shown.reason = misconfigured
    if boot is not None:
        shown.lease = lease_view(boot)


def brake_view(brake: Clear | Engaged) -> BrakeView:
    return BrakeView(isinstance(brake, Engaged), brake.reason)


def unknown_sender_view(sender: UnknownSender) -> UnknownSenderView:
    return UnknownSenderView(sender.named, sender.cause.value, sender.reports, sender.last_at, sender.do)


def lease_view(boot: Incarnation) -> LeaseView:
    return LeaseView(
        held=boot.holds_lease,
        left_s=round(boot.lease_left_s, 3),
        renewed_ago_s=round(boot.renewed_ago_s, 3),
        incarnation=boot.id,
        ended=boot.ended.value if boot.ended is not None else None,
    )


def drain_view(drain: Drain, prospect: Prospect | None = None) -> DrainView:
    shown = DrainView(
        instance_url=drain.instance.url,
        state=drain.instance.state.value,
        remaining=drain.remaining,
        moving=drain.moving,
        stuck=drain.stuck,
        unwished=drain.unwished,
        delayed=dict(drain.delayed),
        stuck_sessions=[_stuck(each) for each in drain.told],
    )
    if prospect is not None:
        shown.leaving, shown.staying = prospect.leaving, prospect.staying
        shown.staying_sessions = [_stuck(each) for each in prospect.told]
    return shown


def _stuck(stuck: Stuck) -> StuckView:
    return StuckView(stuck.account_id, stuck.phone, stuck.session_id, stuck.reason)


def exited_view(exited: Exited) -> ExitedView:
    return ExitedView(exited.url, exited.boots, exited.sessions, exited.wanted, dict(exited.staying), exited.note)


def stray_view(stray: Stray) -> StrayView:
    row = stray.row
    return StrayView(
        instance_url=stray.instance_url,
        session_id=row.session_id,
        kind=stray.kind.value,
        status=row.status.value,
        phone=row.phone,
        workspace_id=row.workspace_id,
        epoch=row.epoch,
        account_id=stray.account_id,
        reason=stray.reason,
        adopt=_adopting(stray) if stray.kind is not StrayKind.ELSEWHERE else None,
    )


def _adopting(stray: Stray) -> str:
    phone = phone_of(stray.row.phone) if stray.row.phone else None
    workspace = f" --workspace {stray.row.workspace_id}" if stray.row.workspace_id is not None else ""
    named = f"--session {shlex.quote(stray.session_id)} --instance {stray.instance_url}"
    return f"homing accounts create {f'+{phone}' if phone else 'PHONE'}{workspace} {named} --no-start"


def strays_view(url: str, found: StraysFound) -> StraysView:
    return StraysView(url, found.count, [stray_view(each) for each in found.named])

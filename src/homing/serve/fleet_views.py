"""What the API shows of the fleet: instances, how far an emptying is, moves, and plans of moves."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

import msgspec

from homing.decide.fleet.brake import Clear, Engaged
from homing.flows.failover.exits import Exited
from homing.flows.moves.prospects import Prospect
from homing.flows.operations.drain import Drain, Stuck
from homing.flows.operations.migrate import MigrationRequest
from homing.flows.operations.rebalance import Balanced
from homing.flows.webhooks.unknown_senders import UnknownSender
from homing.model.alerts import Alert
from homing.model.fleet import Capabilities, InstanceLoad, Move
from homing.model.instances.health import MISCONFIGURED, HealthJudgment, shown_state
from homing.model.instances.leases import Incarnation
from homing.model.sends.faults import Fault
from homing.ports import InstanceHealth
from homing.serve import views
from homing.serve.views import AttentionView


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


class DistributionView(msgspec.Struct):
    """How many sessions are connected on an instance, and their phones."""

    instance_url: str
    session_count: int
    phones: list[str]


class MoveView(msgspec.Struct):
    """One line of the log of moves. `steps` says how long each part took, in ms."""

    id: int
    at: datetime
    kind: str
    session_id: str
    account_id: int
    workspace_id: int
    from_url: str | None
    to_url: str | None
    epoch: int
    fence: str | None
    reason: str
    duration_ms: int | None
    steps: dict[str, int]
    run_id: str | None


class WantedView(msgspec.Struct):
    """A session that is to move. Not `new`: it was to move already. Where it is can be seen at its account."""

    account_id: int
    account_uuid: str
    session_id: str
    from_url: str | None
    from_epoch: int
    to_url: str | None
    new: bool


class ExitedView(msgspec.Struct):
    """What came of the word that an instance exited. `staying` counts, by reason, the sessions that do not move."""

    instance_url: str
    boots: int
    sessions: int
    wanted: int
    staying: dict[str, int]
    note: str
    """What whoever said so should know, such as that the browsers must be gone too."""


class PlannedMoveView(msgspec.Struct):
    """One move of a plan. `expected_gap_ms` is how long it will not be able to send; messages wait for it meanwhile."""

    order: int
    account_id: int
    phone: str
    session_id: str
    from_url: str
    to_url: str
    why: str
    expected_gap_ms: int


class SkippedView(msgspec.Struct):
    """A session that was looked at and stays."""

    account_id: int
    phone: str
    session_id: str
    reason: str


class PlanView(msgspec.Struct):
    """What is to move, in order, and what stays. `begun` counts the moves that were begun; null in a dry run."""

    dry_run: bool
    reason: str
    begun: int | None
    moves: list[PlannedMoveView]
    skipped: list[SkippedView]


def instance(load: InstanceLoad, health: InstanceHealth | Fault, alerts: Sequence[Alert] = ()) -> InstanceView:
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
        attention=views.attention(alerts),
    )
    if isinstance(health, InstanceHealth):
        shown.warning = health.unchecked
        shown.engine, shown.version, shown.incarnation = health.engine, health.version, health.incarnation
        shown.memory_used_mb, shown.sends_per_s = health.memory_used_mb, health.sends_per_s
        shown.capabilities = capabilities(health.capabilities)
    return shown


def capabilities(can: Capabilities) -> dict[str, bool | list[str]]:
    """By name; what there are several of, in alphabetical order."""
    by_name = {each.name: getattr(can, each.name) for each in fields(can)}
    return {name: value if isinstance(value, bool) else sorted(value) for name, value in by_name.items()}


def judge(
    shown: InstanceView, judged: HealthJudgment | None, boot: Incarnation | None, misconfigured: str | None = None
) -> None:
    """Add how the instance is judged, the lease of its newest boot, and why it does not work as it is set up."""
    if judged is not None:
        shown.health, shown.reason = shown_state(judged, misconfigured is not None), judged.reason
        if shown.health == MISCONFIGURED:
            shown.reason = misconfigured
    if boot is not None:
        shown.lease = lease(boot)


def brake(brake: Clear | Engaged) -> BrakeView:
    return BrakeView(isinstance(brake, Engaged), brake.reason)


def unknown_sender(sender: UnknownSender) -> UnknownSenderView:
    return UnknownSenderView(sender.named, sender.cause.value, sender.reports, sender.last_at, sender.do)


def lease(boot: Incarnation) -> LeaseView:
    return LeaseView(
        held=boot.holds_lease,
        left_s=round(boot.lease_left_s, 3),
        renewed_ago_s=round(boot.renewed_ago_s, 3),
        incarnation=boot.id,
        ended=boot.ended.value if boot.ended is not None else None,
    )


def drain(drain: Drain, prospect: Prospect | None = None) -> DrainView:
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


def move(move: Move) -> MoveView:
    return MoveView(
        id=move.id,
        at=move.at,
        kind=move.kind.value,
        session_id=move.session_id,
        account_id=move.account_id,
        workspace_id=move.workspace_id,
        from_url=move.from_url,
        to_url=move.to_url,
        epoch=move.epoch,
        fence=move.fence,
        reason=move.reason,
        duration_ms=move.duration_ms,
        steps=dict(move.steps),
        run_id=move.run_id,
    )


def wanted(wanted: MigrationRequest) -> WantedView:
    account = wanted.account
    return WantedView(
        account_id=account.id,
        account_uuid=account.uuid,
        session_id=account.session_id,
        from_url=account.placement.instance_url,
        from_epoch=account.placement.epoch,
        to_url=wanted.to_url,
        new=wanted.new,
    )


def exited(exited: Exited) -> ExitedView:
    return ExitedView(exited.url, exited.boots, exited.sessions, exited.wanted, dict(exited.staying), exited.note)


def plan(balanced: Balanced) -> PlanView:
    accounts = balanced.accounts
    moves = [
        PlannedMoveView(
            order=move.order,
            account_id=accounts[move.session_id].id,
            phone=accounts[move.session_id].phone,
            session_id=move.session_id,
            from_url=move.from_url,
            to_url=move.to_url,
            why=move.why,
            expected_gap_ms=move.expected_gap_ms,
        )
        for move in balanced.plan.moves
    ]
    skipped = [
        SkippedView(accounts[each.session_id].id, accounts[each.session_id].phone, each.session_id, each.reason)
        for each in balanced.plan.skipped
    ]
    return PlanView(balanced.begun is None, balanced.plan.reason, balanced.begun, moves, skipped)

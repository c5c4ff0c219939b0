"""What is told of each thing in the state of the fleet. The words are those of the API."""

from datetime import datetime

import msgspec

from homing.decide.knowledge.standing import Counts, Group, Standing
from homing.model.alerts import GUIDES, Alert
from homing.model.fleet import Account, SessionStatus
from homing.serve.api.fleet.instance_shapes import BrakeView
from homing.serve.api.fleet.moves import MoveView
from homing.serve.page import words


class InstanceRow(msgspec.Struct, frozen=True):
    """One instance: how it is judged since when and why, and how many of the caller's sessions are there."""

    id: int
    url: str
    name: str
    driver: str
    version: str | None
    mode: str
    state: str
    health: str
    reason: str
    since: datetime | None
    capacity: int | None
    sessions: int
    can_send: int


class SessionRow(msgspec.Struct, frozen=True):
    """One session: where it is, under which epoch, and how it stands. `status` is the one known now.

    `phone_written` and `instance_name` are for people to read.
    """

    account_id: int
    account_uuid: str
    workspace_id: int
    session_id: str
    phone: str
    phone_written: str
    name: str
    instance_url: str | None
    instance_name: str | None
    epoch: int
    state: str
    status: str
    standing: str
    can_send: bool
    since: datetime | None
    takeover: str


class AlertRow(msgspec.Struct, frozen=True):
    """One alert that stands: what it is about, since when and why, and what to do."""

    kind: str
    title: str
    severity: str
    about: str
    subject: str
    reason: str
    means: str
    do: str
    since: datetime


class AutomationRow(msgspec.Struct, frozen=True):
    """Whether sessions are moved without anybody asking; who turned that last, and when."""

    on: bool = True
    by: str = ""
    since: datetime | None = None


class SessionCounts(msgspec.Struct, frozen=True):
    """The caller's sessions by how they stand; `can_send` … `stopped` add up to `total`."""

    total: int
    can_send: int
    under_way: int
    needs_you: int
    in_doubt: int
    stopped: int
    by_standing: dict[str, int]


class Snapshot(msgspec.Struct, frozen=True):
    """Everything, at one version. `why` says why it is told anew. `sessions` has the first thousand, worst first;
    `session_counts.total` says of how many."""

    version: int
    why: str
    at: datetime
    instances: list[InstanceRow]
    sessions: list[SessionRow]
    session_counts: SessionCounts
    moves: list[MoveView]
    brake: BrakeView
    automation: AutomationRow
    alerts: list[AlertRow]
    directory_away: str | None


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changed with this version. Rows are told whole; what is absent did not change."""

    version: int
    at: datetime
    instances: list[InstanceRow] = []
    instances_gone: list[str] = []
    sessions: list[SessionRow] = []
    sessions_gone: list[str] = []
    session_counts: SessionCounts | None = None
    moves: list[MoveView] = []
    brake: BrakeView | None = None
    automation: AutomationRow | None = None
    alerts: list[AlertRow] | None = None
    directory_away: str | msgspec.UnsetType | None = msgspec.UNSET


def session_row(account: Account, status: SessionStatus, standing: Standing) -> SessionRow:
    return SessionRow(
        account_id=account.id,
        account_uuid=account.uuid,
        workspace_id=account.workspace_id,
        session_id=account.session_id,
        phone=account.phone,
        phone_written=words.phone(account),
        name=account.name,
        instance_url=account.placement.instance_url,
        instance_name=words.short(account.placement.instance_url) if account.placement.instance_url else None,
        epoch=account.placement.epoch,
        state=account.placement.state.value,
        status=status.value,
        standing=standing.value,
        can_send=standing is Standing.CONNECTED,
        since=account.status_at,
        takeover=account.takeover.value,
    )


def alert_row(alert: Alert) -> AlertRow:
    guide = GUIDES[alert.kind]
    return AlertRow(
        kind=alert.kind.value,
        title=guide.title,
        severity=guide.severity.value,
        about=alert.subject.about.value,
        subject=alert.subject.name,
        reason=alert.reason,
        means=guide.means,
        do=guide.do,
        since=alert.raised_at,
    )


def counts_row(counts: Counts, by_standing: dict[Standing, int]) -> SessionCounts:
    return SessionCounts(
        total=counts.total,
        can_send=counts[Group.CAN_SEND],
        under_way=counts[Group.UNDER_WAY],
        needs_you=counts[Group.NEEDS_YOU],
        in_doubt=counts[Group.IN_DOUBT],
        stopped=counts[Group.STOPPED],
        by_standing={each.value: by_standing[each] for each in Standing if by_standing.get(each)},
    )

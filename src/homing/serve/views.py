"""What the API shows of each noun. Nothing secret is in any of them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from homing.decide.knowledge import presence
from homing.flows.operations.pairing import Shown
from homing.model.access import Key, RateLimit
from homing.model.alerts import GUIDES, Alert
from homing.model.fleet import Account, Contact, InstanceUrl, SessionStatus
from homing.model.sends.messages import MessageRecord
from homing.model.work import Job
from homing.model.workspaces import Workspace
from homing.ports import CacheStats

T = TypeVar("T")


class Listing(msgspec.Struct, Generic[T]):
    """A page of a listing: `next` is what to pass as `after` for the page behind it, null on the last."""

    data: list[T]
    next: int | None = None


class OpenMoveView(msgspec.Struct):
    """A move that is not over: waited for (`ready`), under way (`running`), or given up (`dead`) for this reason."""

    state: str
    attempts: int
    to_url: str | None
    wanted_because: str
    reason: str
    since: datetime


class AttentionView(msgspec.Struct):
    """An alert that stands about what is shown: what it is, since when, why, and what to do."""

    kind: str
    severity: str
    reason: str
    do: str
    since: datetime


class AccountView(msgspec.Struct):
    """An account, with where its session is. `reason` says what to do, where the status asks for it.

    `state` is that of the placement: `held`, or `moving` there. `move` is told only of one account that is shown.
    `status` is what is known now, by what was seen `status_age_s` ago. `reported_phone` is what its instance reports,
    while that is somebody else's than `phone`: then nothing is sent. `native_id` is what its gateway calls the session,
    where gateways give names of their own.
    """

    id: int
    uuid: str
    workspace_id: int
    session_id: str
    phone: str
    name: str
    instance_url: str | None
    epoch: int
    state: str
    status: str
    takeover: str
    requires: dict[str, str]
    last_verified_at: datetime | None
    created_at: datetime
    reason: str | None = None
    status_age_s: float | None = None
    move: OpenMoveView | None = None
    reported_phone: str | None = None
    attention: list[AttentionView] = []
    native_id: str | None = None


class RateLimitView(msgspec.Struct):
    """So many requests in so many seconds."""

    requests: int
    per_s: int


class WorkspaceView(msgspec.Struct):
    """A tenant. `region` is where its national numbers belong, `bare_digits` what digits mean that name no country.

    `rate_limit` is for all of its keys together.
    """

    id: int
    name: str
    region: str
    bare_digits: str
    created_at: datetime
    rate_limit: RateLimitView | None = None


class ContactView(msgspec.Struct):
    """A person to write to. `phone` has the digits that are sent to, `phone_as_written` what was given."""

    id: int
    uuid: str
    workspace_id: int
    phone: str
    name: str
    created_at: datetime
    phone_as_written: str | None = None


class MessageView(msgspec.Struct):
    """A recorded message. `phone` has the digits that it was sent to, `phone_as_written` what was given."""

    uuid: str
    workspace_id: int
    account_uuid: str
    message_id: str
    phone: str
    message: str
    state: str
    code: str | None
    reason: str
    attempts: int
    instance_url: str | None
    created_at: datetime
    updated_at: datetime
    phone_as_written: str | None = None


class MessagesView(msgspec.Struct):
    """A page of messages: `next` is what to pass as `before` for the page behind it, null on the last."""

    data: list[MessageView]
    next: str | None


class ReceiptView(msgspec.Struct):
    """WhatsApp's id of a message, and when it took it, in unix seconds."""

    message_id: str
    timestamp: int


class SentView(msgspec.Struct):
    """A message that WhatsApp took. `failover`: not through the instance that it was first tried at."""

    success: bool
    data: ReceiptView
    message_uuid: str
    instance_url: str | None
    attempts: int
    failover: bool
    response_time_ms: float


class MessageIdView(msgspec.Struct):
    """The id that a message has if it was sent."""

    message_id: str


class UnknownView(msgspec.Struct):
    """A message that may or may not have been sent, and is not sent again: that could say it twice."""

    success: None
    outcome: Literal["unknown"]
    data: MessageIdView
    detail: str
    message_uuid: str
    instance_url: str | None
    attempts: int
    failover: bool
    response_time_ms: float


class KeyView(msgspec.Struct, omit_defaults=True):
    """An API key. `key` is there once, when it is made or rotated.

    `last_used_at` is up to a minute old. After a rotation the secret before opens too, until `previous_until`.
    """

    id: str
    name: str
    scope: str
    workspace_id: int | None
    created_at: datetime
    key: str = ""
    expires_at: datetime | None = None
    expired: bool = False
    last_used_at: datetime | None = None
    previous_until: datetime | None = None
    rate_limit: RateLimitView | None = None


class PairingView(msgspec.Struct):
    """The newest code that links a phone; `expires_in` is what it has left, in seconds.

    `qr` is the text to draw as a QR code, `code` one to type. Where the instance tells a picture alone, `picture` is
    that, as a data URL, and `qr` is what was read in it: empty if it could not be read. An expired code is followed by
    the next one as long as the instance makes them; `POST` asks for a new one.
    """

    qr: str | None
    picture: str | None
    code: str | None
    expires_in: int
    expired: bool
    received_at: datetime | None


class CacheView(msgspec.Struct):
    """The route cache of the gateway that answered."""

    entries: int
    hits: int
    misses: int
    hit_rate: float
    reads: int
    invalidations: int
    flushes: int
    enabled: bool


class ForgottenView(msgspec.Struct):
    """The account whose route every gateway forgets."""

    success: bool
    forgotten: str


class ClearedView(msgspec.Struct):
    """How many routes the gateway that answered forgot; the others forget theirs."""

    success: bool
    cleared: int


_ADVICE = {
    SessionStatus.QUARANTINED: "somebody else used its login again after it was taken back once: find out who, end"
    " that device in the phone's list of linked devices, then start the account",
    SessionStatus.LOGGED_OUT: "its link with WhatsApp has ended: start it and pair it anew",
}


def account(
    account: Account,
    alerts: Sequence[Alert] = (),
    job: Job | None = None,
    *,
    now: datetime,
    away: Collection[InstanceUrl] = (),
) -> AccountView:
    """As it is known `now`, with the instances that are `away` out of reach."""
    status, outdated = presence.status_now(account, now, away)
    return AccountView(
        id=account.id,
        uuid=account.uuid,
        workspace_id=account.workspace_id,
        session_id=account.session_id,
        phone=account.phone,
        name=account.name,
        instance_url=account.placement.instance_url,
        epoch=account.placement.epoch,
        state=account.placement.state.value,
        status=status.value,
        status_age_s=round(max(0.0, (now - presence.seen_at(account)).total_seconds()), 1),
        takeover=account.takeover.value,
        requires=account.requires,
        last_verified_at=account.last_verified_at,
        created_at=account.created_at,
        reason=outdated or _ADVICE.get(account.status),
        move=_open_move(job) if job is not None else None,
        reported_phone=account.mismatched_phone,
        attention=attention(alerts),
        native_id=account.native_id,
    )


def attention(alerts: Sequence[Alert]) -> list[AttentionView]:
    return [
        AttentionView(
            alert.kind.value, GUIDES[alert.kind].severity.value, alert.reason, GUIDES[alert.kind].do, alert.raised_at
        )
        for alert in alerts
    ]


def _open_move(job: Job) -> OpenMoveView:
    to_url, because = job.payload.get("to_url"), job.payload.get("reason", "")
    return OpenMoveView(job.state.value, job.attempts, to_url, because, job.reason, job.created_at)


def contact(contact: Contact) -> ContactView:
    return ContactView(
        contact.id,
        contact.uuid,
        contact.workspace_id,
        contact.phone,
        contact.name,
        contact.created_at,
        contact.phone_as_written,
    )


def workspace(workspace: Workspace, default_region: str) -> WorkspaceView:
    return WorkspaceView(
        workspace.id,
        workspace.name,
        workspace.region or default_region,
        workspace.bare_digits.value,
        workspace.created_at,
        _rate_limit(workspace.rate_limit),
    )


def message(record: MessageRecord) -> MessageView:
    return MessageView(
        uuid=record.uuid,
        workspace_id=record.workspace_id,
        account_uuid=record.account_uuid,
        message_id=record.message_id,
        phone=record.recipient_phone,
        message=record.text,
        state=record.state.value,
        code=record.code,
        reason=record.reason,
        attempts=record.attempts,
        instance_url=record.instance_url,
        created_at=record.created_at,
        updated_at=record.updated_at,
        phone_as_written=record.phone_as_written,
    )


def key(key: Key, secret: str = "", *, now: datetime) -> KeyView:
    overlaps = key.previous_until is not None and key.previous_until > now
    return KeyView(
        id=key.id,
        name=key.name,
        scope=key.scope.value,
        workspace_id=key.workspace_id,
        created_at=key.created_at,
        key=secret,
        expires_at=key.expires_at,
        expired=key.has_expired(now),
        last_used_at=key.last_used_at,
        previous_until=key.previous_until if overlaps else None,
        rate_limit=_rate_limit(key.rate_limit),
    )


def _rate_limit(limit: RateLimit | None) -> RateLimitView | None:
    return None if limit is None else RateLimitView(limit.requests, limit.per_s)


def pairing(shown: Shown) -> PairingView:
    return PairingView(shown.qr, shown.picture, shown.code, shown.expires_in_s, shown.expired, shown.received_at)


def cache(stats: CacheStats, *, enabled: bool) -> CacheView:
    return CacheView(
        entries=stats.entries,
        hits=stats.hits,
        misses=stats.misses,
        hit_rate=round(stats.hit_rate, 6),
        reads=stats.reads,
        invalidations=stats.invalidations,
        flushes=stats.flushes,
        enabled=enabled,
    )


class Numbered(Protocol):
    """What is listed in the order of its numbers."""

    id: int


Row = TypeVar("Row", bound=Numbered)


def page(rows: list[Row], limit: int) -> Listing[Row]:
    """The page that these rows are, of at most `limit`."""
    return Listing(rows, rows[-1].id if len(rows) == limit else None)

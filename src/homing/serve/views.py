"""What the API shows of each noun. Nothing secret is in any of them."""

from datetime import datetime
from typing import Any

import msgspec

from homing.model.access import Key
from homing.model.faults import Fault
from homing.model.fleet import Account, Contact, InstanceLoad, Move
from homing.model.messages import MessageRecord
from homing.ports import CacheStats, InstanceHealth, PairingCode


class AccountView(msgspec.Struct):
    """An account, with where its session is."""

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
    last_verified_at: datetime | None
    created_at: datetime


class ContactView(msgspec.Struct):
    """A person to write to."""

    id: int
    uuid: str
    workspace_id: int
    phone: str
    name: str
    created_at: datetime


class InstanceView(msgspec.Struct):
    """One gateway of the fleet: what the directory has on it, and what it says of itself."""

    id: int
    url: str
    driver: str
    name: str
    state: str
    capacity: int | None
    labels: dict[str, str]
    sessions: int
    connected: int
    healthy: bool
    detail: str
    engine: str | None = None
    version: str | None = None
    incarnation: str | None = None
    capabilities: dict[str, bool] | None = None


class MoveView(msgspec.Struct):
    """One line of the log of moves."""

    id: int
    at: datetime
    kind: str
    session_id: str
    account_id: int
    workspace_id: int
    from_url: str | None
    to_url: str | None
    epoch: int
    reason: str
    duration_ms: int | None
    run_id: str | None


class MessageView(msgspec.Struct):
    """A recorded message."""

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


class KeyView(msgspec.Struct, omit_defaults=True):
    """An API key. `key` is there once, when it is made."""

    id: str
    name: str
    scope: str
    workspace_id: int | None
    created_at: datetime
    key: str = ""


class PairingView(msgspec.Struct):
    """What links a phone. Both empty: the gateway tells the code by webhook only."""

    qr: str | None
    code: str | None
    expires_in: int


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


def account(account: Account) -> AccountView:
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
        status=account.status.value,
        takeover=account.takeover.value,
        last_verified_at=account.last_verified_at,
        created_at=account.created_at,
    )


def contact(contact: Contact) -> ContactView:
    return ContactView(contact.id, contact.uuid, contact.workspace_id, contact.phone, contact.name, contact.created_at)


def instance(load: InstanceLoad, health: InstanceHealth | Fault) -> InstanceView:
    known = load.instance
    shown = InstanceView(
        id=known.id,
        url=known.url,
        driver=known.driver,
        name=known.name,
        state=known.state.value,
        capacity=known.capacity,
        labels=known.labels,
        sessions=load.sessions,
        connected=load.connected,
        healthy=not isinstance(health, Fault),
        detail=str(health) if isinstance(health, Fault) else "answers",
    )
    if isinstance(health, InstanceHealth):
        shown.engine, shown.version, shown.incarnation = health.engine, health.version, health.incarnation
        shown.capabilities = msgspec.to_builtins(health.capabilities)
    return shown


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
        reason=move.reason,
        duration_ms=move.duration_ms,
        run_id=move.run_id,
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
    )


def key(key: Key, secret: str = "") -> KeyView:
    return KeyView(key.id, key.name, key.scope.value, key.workspace_id, key.created_at, secret)


def pairing(code: PairingCode) -> PairingView:
    return PairingView(code.qr, code.code, code.expires_in_s)


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


def page(rows: list[Any], limit: int) -> dict[str, Any]:
    """A page of a listing: `next` is what to pass as `after` for the page behind it, None on the last."""
    return {"data": rows, "next": rows[-1].id if len(rows) == limit else None}

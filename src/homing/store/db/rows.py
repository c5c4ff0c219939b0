"""From rows of the tables to the nouns of the model."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row

from homing.model.directory.access import Key, RateLimit, Scope
from homing.model.fleet import (
    Account,
    AccountUuid,
    Contact,
    ContactUuid,
    DeafPolicy,
    Epoch,
    Instance,
    InstanceMode,
    InstanceState,
    InstanceUrl,
    Linking,
    Move,
    MoveKind,
    Placement,
    PlacementState,
    Route,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.sends.messages import KeyedSend, MessageRecord, MessageState, StoredAnswer
from homing.store.db.schema.tables import accounts, sessions

AnyRow = Row[*tuple[Any, ...]]

ROUTE_COLUMNS = (
    accounts.c.id,
    accounts.c.uuid,
    accounts.c.workspace_id,
    accounts.c.phone,
    sessions.c.session_id,
    sessions.c.instance_url,
    sessions.c.epoch,
    sessions.c.state,
    sessions.c.status,
    sessions.c.mismatched_phone,
)

LINKING_COLUMNS = (
    sessions.c.code_reported_at,
    sessions.c.ready_at,
    sessions.c.logout_reported_at,
    sessions.c.started_at,
)

ACCOUNT_COLUMNS = (
    *ROUTE_COLUMNS,
    *LINKING_COLUMNS,
    accounts.c.name,
    accounts.c.takeover,
    accounts.c.created_at,
    accounts.c.requires,
    accounts.c.person,
    accounts.c.deaf_policy,
    accounts.c.proxy_shown,
    sessions.c.last_verified_at,
    sessions.c.updated_at,
    sessions.c.native_id,
)

ACCOUNTS_WITH_SESSIONS = accounts.join(sessions, sessions.c.account_id == accounts.c.id)


def placement_of(row: AnyRow) -> Placement:
    return Placement(
        session_id=SessionId(row.session_id),
        instance_url=_url(row.instance_url),
        epoch=Epoch(row.epoch),
        state=PlacementState(row.state),
    )


def route_of(row: AnyRow) -> Route:
    return Route(
        account_id=row.id,
        account_uuid=AccountUuid(row.uuid),
        workspace_id=WorkspaceId(row.workspace_id),
        placement=placement_of(row),
        phone=row.phone,
        status=SessionStatus(row.status),
        mismatched_phone=row.mismatched_phone,
    )


def judged_route_of(row: AnyRow) -> Route:
    """A route with all that is needed to judge where its session is."""
    return replace(route_of(row), linking=linking_of(row))


def linking_of(row: AnyRow) -> Linking:
    return Linking(row.code_reported_at, row.ready_at, row.logout_reported_at, row.started_at)


def account_of(row: AnyRow) -> Account:
    return Account(
        id=row.id,
        uuid=AccountUuid(row.uuid),
        workspace_id=WorkspaceId(row.workspace_id),
        phone=row.phone,
        name=row.name,
        placement=placement_of(row),
        status=SessionStatus(row.status),
        takeover=Takeover(row.takeover),
        created_at=row.created_at,
        last_verified_at=row.last_verified_at,
        requires=row.requires,
        mismatched_phone=row.mismatched_phone,
        status_at=row.updated_at,
        person=row.person,
        linking=linking_of(row),
        native_id=row.native_id,
        deaf_policy=DeafPolicy(row.deaf_policy) if row.deaf_policy else None,
        exit_proxy=row.proxy_shown,
    )


def contact_of(row: AnyRow) -> Contact:
    return Contact(
        id=row.id,
        uuid=ContactUuid(row.uuid),
        workspace_id=WorkspaceId(row.workspace_id),
        phone=row.phone,
        name=row.name,
        created_at=row.created_at,
        phone_as_written=row.phone_as_written,
    )


def instance_of(row: AnyRow) -> Instance:
    return Instance(
        id=row.id,
        url=InstanceUrl(row.url),
        driver=row.driver,
        name=row.name,
        state=InstanceState(row.state),
        capacity=row.capacity,
        labels=row.labels,
        memory_limit_mb=row.memory_limit_mb,
        sends_limit_per_s=row.sends_limit_per_s,
        mode=InstanceMode(row.mode),
        storage=row.storage,
        exited_at=row.exited_at,
        strays=row.strays,
        key_salt=row.key_salt,
        sealed_key=row.sealed_key,
        mode_since=row.mode_since,
    )


def move_of(row: AnyRow) -> Move:
    return Move(
        id=row.id,
        kind=MoveKind(row.kind),
        session_id=SessionId(row.session_id),
        account_id=row.account_id,
        workspace_id=WorkspaceId(row.workspace_id),
        from_url=_url(row.from_url),
        to_url=_url(row.to_url),
        epoch=Epoch(row.epoch),
        reason=row.reason,
        at=row.at,
        duration_ms=row.duration_ms,
        run_id=row.run_id,
        fence=row.fence,
        steps=row.steps,
        trace_id=row.trace_id,
    )


def key_of(row: AnyRow) -> Key:
    return Key(
        id=row.id,
        workspace_id=None if row.workspace_id is None else WorkspaceId(row.workspace_id),
        scope=Scope(row.scope),
        name=row.name,
        secret_hash=row.secret_hash,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        previous_hash=row.previous_hash,
        previous_until=row.previous_until,
        rate_limit=rate_limit_of(row),
    )


def rate_limit_of(row: AnyRow) -> RateLimit | None:
    """A key's or a workspace's limit, if one is set."""
    return RateLimit(row.rate_requests, row.rate_per_s) if row.rate_requests and row.rate_per_s else None


def message_of(row: AnyRow) -> MessageRecord:
    return MessageRecord(
        uuid=row.uuid,
        workspace_id=WorkspaceId(row.workspace_id),
        account_uuid=AccountUuid(row.account_uuid),
        message_id=row.message_id,
        recipient_phone=row.recipient_phone,
        text=row.text,
        state=MessageState(row.state),
        code=row.code,
        reason=row.reason,
        attempts=row.attempts,
        instance_url=_url(row.instance_url),
        created_at=row.created_at,
        updated_at=row.updated_at,
        phone_as_written=row.phone_as_written,
        content=row.content,
        send_at=row.due_at,
        expires_at=row.expires_at,
        batch_id=row.batch_id,
        trace_id=row.trace_id,
    )


def keyed_send_of(row: AnyRow) -> KeyedSend:
    answer = None if row.answer_status is None else StoredAnswer(row.answer_status, row.answer_body)
    return KeyedSend(
        workspace_id=WorkspaceId(row.workspace_id),
        key=row.key,
        fingerprint=row.fingerprint,
        message_uuid=row.message_uuid,
        owner=row.owner,
        lease_until=row.lease_until,
        expires_at=row.expires_at,
        answer=answer,
    )


def _url(text: str | None) -> InstanceUrl | None:
    return None if text is None else InstanceUrl(text)

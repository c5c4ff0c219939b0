"""`/keys`: who may call the API, until when, and how often."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from homing.model.directory.access import Key, Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.ports import KeyChanges
from homing.serve.api.context import ADMIN, Asking, Ref, TheGateway
from homing.serve.api.directory.workspaces import RateLimitBody, RateLimitView, rate_limit_view
from homing.serve.api.fields import Moment, Name, Positive
from homing.serve.api.listing import Listing
from homing.serve.callers.access import Caller
from homing.serve.callers.keyring import new_key, new_secret, to_come
from homing.serve.gateway import Gateway


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


class KeyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new API key. Without a workspace it acts for all of them. From `expires_at` on it is refused."""

    name: Name = ""
    scope: Literal["admin", "send", "read"] = "send"
    workspace_id: Positive | None = None
    expires_at: Moment | None = None
    rate_limit: RateLimitBody | None = None


class KeyChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of a key. Null takes its end, or its limit, away."""

    name: Name | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    rate_limit: RateLimitBody | UnsetType | None = UNSET


class RotateBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new secret for a key. The one that it had opens for `overlap_s` more seconds."""

    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400


def key_view(key: Key, secret: str = "", *, now: datetime) -> KeyView:
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
        rate_limit=rate_limit_view(key.rate_limit),
    )


class KeysController(Controller):
    """API keys. The key itself is shown once, when it is made or rotated; only its hash is kept."""

    path = "/keys"
    tags = ["operations"]
    guards = [ADMIN]

    @get("/", summary="List the keys that are not revoked")
    async def list_keys(self, gateway: TheGateway, caller: Asking) -> Listing[KeyView]:
        keys = await gateway.stores.directory.keys()
        return Listing([_view(gateway, key) for key in keys if _is_seen(caller, key)])

    @post("/", summary="Make a key")
    async def create(self, data: JSONBody[KeyBody], gateway: TheGateway, caller: Asking) -> KeyView:
        if caller.names_another(data.workspace_id):
            raise Problem(Code.NOT_FOUND, f"There is no workspace {data.workspace_id} for this key")
        workspace = WorkspaceId(data.workspace_id) if data.workspace_id is not None else caller.workspace
        key, secret = new_key(
            gateway.entropy,
            gateway.clock,
            workspace=workspace,
            scope=Scope(data.scope),
            name=data.name,
            expires_at=to_come(data.expires_at, gateway.clock.now()),
            rate_limit=data.rate_limit.limit() if data.rate_limit is not None else None,
        )
        await gateway.stores.directory.add_key(key)
        await gateway.keyring.refresh()
        return _view(gateway, key, secret)

    @patch("/{key_id:str}", summary="Change a key's name, its end, or how often it may ask")
    async def change(self, key_id: Ref, data: JSONBody[KeyChangesBody], gateway: TheGateway, caller: Asking) -> KeyView:
        changes = _changes(data, gateway.clock.now())
        await _key(gateway, caller, key_id)
        changed = await gateway.stores.directory.change_key(key_id, changes)
        await gateway.keyring.refresh()
        return _view(gateway, _known(changed, key_id))

    @post("/{key_id:str}/rotate", status_code=200, summary="Give a key a new secret; the old one opens for a while")
    async def rotate(
        self, key_id: Ref, gateway: TheGateway, caller: Asking, data: JSONBody[RotateBody | None] = None
    ) -> KeyView:
        """The new secret opens at once, the one before for `overlap_s` more. An older one ends now."""
        await _key(gateway, caller, key_id)
        secret_hash, secret = new_secret(gateway.entropy, key_id)
        until = gateway.clock.now() + timedelta(seconds=(data or RotateBody()).overlap_s)
        rotated = await gateway.stores.directory.rotate_key(key_id, secret_hash, until)
        await gateway.keyring.refresh()
        return _view(gateway, _known(rotated, key_id), secret)

    @delete("/{key_id:str}", summary="Revoke a key, at once and everywhere")
    async def revoke(self, key_id: Ref, gateway: TheGateway, caller: Asking) -> None:
        await _key(gateway, caller, key_id)
        await gateway.stores.directory.revoke_key(key_id, gateway.clock.now())
        await gateway.keyring.refresh()


def _changes(data: KeyChangesBody, now: datetime) -> KeyChanges:
    changes = KeyChanges()
    if data.name is not UNSET:
        changes["name"] = data.name
    if data.expires_at is not UNSET:
        changes["expires_at"] = to_come(data.expires_at, now)
    if data.rate_limit is not UNSET:
        changes["rate_limit"] = data.rate_limit.limit() if data.rate_limit is not None else None
    return changes


async def _key(gateway: Gateway, caller: Caller, key_id: str) -> Key:
    keys = await gateway.stores.directory.keys()
    return _known(next((key for key in keys if key.id == key_id and _is_seen(caller, key)), None), key_id)


def _known(key: Key | None, key_id: str) -> Key:
    if key is None:
        raise Problem(Code.KEY_NOT_FOUND, f"There is no key {key_id}")
    return key


def _is_seen(caller: Caller, key: Key) -> bool:
    return caller.workspace in (None, key.workspace_id)


def _view(gateway: Gateway, key: Key, secret: str = "") -> KeyView:
    return key_view(key, secret, now=gateway.clock.now())

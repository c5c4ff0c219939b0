"""`/keys`: who may call the API, until when, and how often."""

from datetime import datetime, timedelta

from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET

from homing.model.access import Key, Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.ports import KeyChanges, KeysChanged
from homing.serve import views
from homing.serve.api.context import ADMIN, Asking, Ref, TheGateway
from homing.serve.bodies import KeyBody, KeyChangesBody, RotateBody
from homing.serve.callers.access import Caller
from homing.serve.callers.keyring import new_key, new_secret, to_come
from homing.serve.gateway import Gateway
from homing.serve.views import KeyView, Listing


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
        await _told(gateway)
        return _view(gateway, key, secret)

    @patch("/{key_id:str}", summary="Change a key's name, its end, or how often it may ask")
    async def change(self, key_id: Ref, data: JSONBody[KeyChangesBody], gateway: TheGateway, caller: Asking) -> KeyView:
        changes = _changes(data, gateway.clock.now())
        await _key(gateway, caller, key_id)
        changed = await gateway.stores.directory.change_key(key_id, changes)
        await _told(gateway)
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
        await _told(gateway)
        return _view(gateway, _known(rotated, key_id), secret)

    @delete("/{key_id:str}", summary="Revoke a key, at once and everywhere")
    async def revoke(self, key_id: Ref, gateway: TheGateway, caller: Asking) -> None:
        await _key(gateway, caller, key_id)
        await gateway.stores.directory.revoke_key(key_id, gateway.clock.now())
        await _told(gateway)


def _changes(data: KeyChangesBody, now: datetime) -> KeyChanges:
    changes = KeyChanges()
    if data.name is not UNSET:
        changes["name"] = data.name
    if data.expires_at is not UNSET:
        changes["expires_at"] = to_come(data.expires_at, now)
    if data.rate_limit is not UNSET:
        changes["rate_limit"] = data.rate_limit.limit() if data.rate_limit is not None else None
    return changes


async def _told(gateway: Gateway) -> None:
    """Here at once; the others hear of it."""
    await gateway.keyring.refresh()
    await gateway.stores.notices.publish([KeysChanged()])


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
    return views.key(key, secret, now=gateway.clock.now())

"""`/cache` and `/keys`: what operators look after."""

from litestar import Controller, delete, get, post
from litestar.params import JSONBody

from homing.model.access import Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, SessionId, WorkspaceId
from homing.ports import AccountChanged, CacheCleared, KeysChanged
from homing.serve import views
from homing.serve.access import Caller
from homing.serve.api.context import ADMIN, OPERATOR, Asking, Ref, TheGateway
from homing.serve.bodies import ForgetBody, KeyBody
from homing.serve.gateway import Gateway
from homing.serve.keyring import new_key
from homing.serve.views import CacheView, ClearedView, ForgottenView, KeyView, Listing


class CacheController(Controller):
    """The route cache. Figures are those of the gateway that answers; forgetting and clearing reach all of them."""

    path = "/cache"
    tags = ["operations"]
    guards = [ADMIN]

    @get("/", guards=[OPERATOR], summary="How well the route cache does")
    async def stats(self, gateway: TheGateway) -> CacheView:
        return views.cache(gateway.routes.stats(), enabled=gateway.settings.whatsapp_enable_cache)

    @post("/forget", status_code=200, summary="Drop one route from every gateway's cache")
    async def forget(self, data: JSONBody[ForgetBody], gateway: TheGateway, caller: Asking) -> ForgottenView:
        if (data.account_uuid is None) == (data.session_id is None):
            raise Problem(Code.INVALID_REQUEST, "Name either account_uuid or session_id", field="account_uuid")
        account = await _forgettable(gateway, caller, data)
        await gateway.stores.notices.publish([AccountChanged(account_uuid=account)])
        return ForgottenView(True, account)

    @post("/clear", guards=[OPERATOR], status_code=200, summary="Empty every gateway's cache")
    async def clear(self, gateway: TheGateway) -> ClearedView:
        entries = gateway.routes.stats().entries
        await gateway.stores.notices.publish([CacheCleared()])
        return ClearedView(True, entries)


class KeysController(Controller):
    """API keys. The key itself is shown once, when it is made; only its hash is kept."""

    path = "/keys"
    tags = ["operations"]
    guards = [ADMIN]

    @get("/", summary="List the keys in force")
    async def list_keys(self, gateway: TheGateway, caller: Asking) -> Listing[KeyView]:
        keys = await gateway.stores.directory.keys()
        return Listing([views.key(key) for key in keys if caller.workspace in (None, key.workspace_id)])

    @post("/", summary="Make a key")
    async def create(self, data: JSONBody[KeyBody], gateway: TheGateway, caller: Asking) -> KeyView:
        if caller.names_another(data.workspace_id):
            raise Problem(Code.NOT_FOUND, f"There is no workspace {data.workspace_id} for this key")
        workspace = WorkspaceId(data.workspace_id) if data.workspace_id is not None else caller.workspace
        key, secret = new_key(
            gateway.entropy, gateway.clock, workspace=workspace, scope=Scope(data.scope), name=data.name
        )
        await gateway.stores.directory.add_key(key)
        await gateway.keyring.refresh()
        await gateway.stores.notices.publish([KeysChanged()])
        return views.key(key, secret)

    @delete("/{key_id:str}", summary="Revoke a key, at once and everywhere")
    async def revoke(self, key_id: Ref, gateway: TheGateway, caller: Asking) -> None:
        keys = await gateway.stores.directory.keys()
        if not any(key.id == key_id and caller.workspace in (None, key.workspace_id) for key in keys):
            raise Problem(Code.KEY_NOT_FOUND, f"There is no key {key_id}")
        await gateway.stores.directory.revoke_key(key_id, gateway.clock.now())
        await gateway.keyring.refresh()
        await gateway.stores.notices.publish([KeysChanged()])


async def _forgettable(gateway: Gateway, caller: Caller, data: ForgetBody) -> AccountUuid:
    """The account whose route is meant. One that does not exist (any more) may be cached all the same: an operator may
    forget that too, and a workspace its own."""
    if data.session_id is not None:
        route = await gateway.stores.directory.route_of_session(SessionId(data.session_id))
        if route is None or caller.workspace not in (None, route.workspace_id):
            raise Problem(Code.ACCOUNT_NOT_FOUND, f"There is no session {data.session_id}")
        return route.account_uuid
    assert data.account_uuid is not None
    uuid = data.account_uuid.lower()
    if caller.workspace is not None and await gateway.stores.directory.account(caller.workspace, uuid=uuid) is None:
        raise Problem(Code.ACCOUNT_NOT_FOUND, f"There is no account {data.account_uuid}")
    return AccountUuid(uuid)

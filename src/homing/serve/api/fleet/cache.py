"""`/cache`: the gateways' memory of where each session lives."""

from litestar import Controller, get, post
from litestar.params import JSONBody

from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, SessionId
from homing.ports import AccountChanged, CacheCleared
from homing.serve import views
from homing.serve.api.context import ADMIN, OPERATOR, Asking, TheGateway
from homing.serve.bodies import ForgetBody
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.views import CacheView, ClearedView, ForgottenView


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
        await gateway.stores.audit.note("cache.forgotten", f"account {account}")
        await gateway.stores.notices.publish([AccountChanged(account_uuid=account)])
        return ForgottenView(True, account)

    @post("/clear", guards=[OPERATOR], status_code=200, summary="Empty every gateway's cache")
    async def clear(self, gateway: TheGateway) -> ClearedView:
        entries = gateway.routes.stats().entries
        await gateway.stores.audit.note("cache.cleared", "cache", {"entries": entries})
        await gateway.stores.notices.publish([CacheCleared()])
        return ClearedView(True, entries)


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

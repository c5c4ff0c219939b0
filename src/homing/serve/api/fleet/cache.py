"""`/cache`: the gateways' memory of where each session lives."""

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody

from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, SessionId
from homing.ports import AccountChanged, CacheCleared, CacheStats
from homing.serve.api.context import ADMIN, OPERATOR, Asking, TheGateway
from homing.serve.api.fields import Uuid
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway


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


class ForgetBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The one route to drop from every gateway's cache."""

    account_uuid: Uuid | None = None
    session_id: Uuid | None = None


def cache_view(stats: CacheStats, *, enabled: bool) -> CacheView:
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


class CacheController(Controller):
    """The route cache. Figures are those of the gateway that answers; forgetting and clearing reach all of them."""

    path = "/cache"
    tags = ["operations"]
    guards = [ADMIN]

    @get("/", guards=[OPERATOR], summary="How well the route cache does")
    async def stats(self, gateway: TheGateway) -> CacheView:
        return cache_view(gateway.routes.stats(), enabled=gateway.settings.whatsapp_enable_cache)

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

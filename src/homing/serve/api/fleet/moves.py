"""`/distribution`, `/moves` and `/rebalance`: what the fleet carries, what went where, and what should."""

from typing import Annotated

from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from homing.model.fleet import MoveKind, SessionId
from homing.ports import Page
from homing.serve import fleet_views, views
from homing.serve.api.context import (
    ADMIN,
    READ,
    After,
    Asking,
    Limit,
    TheGateway,
    WorkspaceFilter,
    account_of,
    operator,
    seen_workspace,
)
from homing.serve.api.fleet.adoption import AdoptionController
from homing.serve.api.fleet.instances import InstancesController
from homing.serve.bodies import RebalanceBody
from homing.serve.fleet_views import DistributionView, MoveView, PlanView
from homing.serve.views import Listing


@get("/distribution", guards=[ADMIN], tags=["fleet"], summary="Connected sessions on each instance, with their phones")
async def distribution(
    gateway: TheGateway, caller: Asking, workspace_id: WorkspaceFilter = None
) -> Listing[DistributionView]:
    """An operator sees all sessions, a workspace its own."""
    away = gateway.watching.down()
    loads = await gateway.stores.directory.loads(seen_workspace(caller, workspace_id))
    loads = [load.away() if load.instance.url in away else load for load in loads]
    return Listing([DistributionView(load.instance.url, load.connected, list(load.phones)) for load in loads])


@get("/moves", guards=[READ], tags=["fleet"], summary="Which session went where, when, and why; newest first")
async def moves(
    gateway: TheGateway,
    caller: Asking,
    session_id: FromQuery[str | None] = None,
    account: Annotated[str | None, QueryParameter(description="An account's uuid or number")] = None,
    kind: FromQuery[MoveKind | None] = None,
    workspace_id: WorkspaceFilter = None,
    after: After = 0,
    limit: Limit = 50,
) -> Listing[MoveView]:
    session = SessionId(session_id) if session_id is not None else None
    if account is not None:
        session = (await account_of(gateway, caller, account)).session_id
    workspace = seen_workspace(caller, workspace_id)
    rows = await gateway.stores.directory.moves(workspace, Page(after, limit), session_id=session, kind=kind)
    return views.page([fleet_views.move(row) for row in rows], limit)


@post("/rebalance", guards=[ADMIN], status_code=202, tags=["fleet"], summary="Spread the sessions evenly")
async def rebalance(data: JSONBody[RebalanceBody], gateway: TheGateway, caller: Asking) -> PlanView:
    """The plan, in its order. With `dry_run` nothing moves; else it is begun, idle sessions first."""
    operator(caller)
    if not data.dry_run:
        await gateway.stores.audit.note("fleet.rebalanced", "fleet")
    return fleet_views.plan(await gateway.moving.balance.rebalance(dry_run=data.dry_run))


router = Router("/", route_handlers=[AdoptionController, InstancesController, distribution, moves, rebalance])

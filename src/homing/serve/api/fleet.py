"""`/instances`, `/distribution` and `/moves`: the fleet, what it carries, and what went where."""

import asyncio
from typing import Annotated, Any

from litestar import Controller, Router, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from homing.compose import Gateway
from homing.drivers import KNOWN_FAMILIES
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceLoad, MoveKind, SessionId
from homing.model.urls import normal
from homing.ports import Page, RosterChanged
from homing.serve import views
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
from homing.serve.bodies import InstanceBody
from homing.serve.views import InstanceView

HEALTH_TIMEOUT_S = 1.0


class InstancesController(Controller):
    """Instances are named by their number."""

    path = "/instances"
    tags = ["fleet"]

    @get("/", guards=[ADMIN], summary="List instances, each asked for its health")
    async def list_instances(self, gateway: TheGateway) -> dict[str, Any]:
        loads = await gateway.stores.directory.loads()
        shown = await asyncio.gather(*(_shown(gateway, load) for load in loads))
        return {"data": list(shown), "next": None}

    @post("/", guards=[ADMIN], summary="Let an instance join the fleet")
    async def add(self, data: JSONBody[InstanceBody], gateway: TheGateway, caller: Asking) -> InstanceView:
        operator(caller)
        if data.driver not in KNOWN_FAMILIES:
            detail = f"There is no driver {data.driver!r}; known are {', '.join(KNOWN_FAMILIES)}"
            raise Problem(Code.INVALID_REQUEST, detail, field="driver")
        try:
            url = normal(data.url)
        except ValueError as error:
            raise Problem(Code.INVALID_REQUEST, str(error), field="url") from error
        instance = await gateway.stores.directory.create_instance(
            url, driver=data.driver, name=data.name, capacity=data.capacity, labels=data.labels
        )
        await gateway.stores.notices.publish([RosterChanged()])
        return await _shown(gateway, InstanceLoad(instance, 0, 0))

    @delete("/{number:int}", guards=[ADMIN], summary="Take an empty instance out of the fleet")
    async def remove(self, number: FromPath[int], gateway: TheGateway, caller: Asking) -> None:
        operator(caller)
        instances = await gateway.stores.directory.instances()
        instance = next((known for known in instances if known.id == number), None)
        if instance is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {number}")
        if not await gateway.stores.directory.delete_instance(instance.url):
            detail = f"Sessions are placed on {instance.url}; move or delete their accounts first"
            raise Problem(Code.INSTANCE_IN_USE, detail)
        await gateway.stores.notices.publish([RosterChanged()])


@get("/distribution", guards=[ADMIN], tags=["fleet"], summary="Connected sessions on each instance, with their phones")
async def distribution(gateway: TheGateway) -> dict[str, Any]:
    loads = await gateway.stores.directory.loads()
    rows = [
        {"instance_url": load.instance.url, "session_count": load.connected, "phones": list(load.phones)}
        for load in loads
    ]
    return {"data": rows, "next": None}


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
) -> dict[str, Any]:
    session = SessionId(session_id) if session_id is not None else None
    if account is not None:
        session = (await account_of(gateway, caller, account)).session_id
    workspace = seen_workspace(caller, workspace_id)
    rows = await gateway.stores.directory.moves(workspace, Page(after, limit), session_id=session, kind=kind)
    return views.page([views.move(row) for row in rows], limit)


async def _shown(gateway: Gateway, load: InstanceLoad) -> InstanceView:
    url = load.instance.url
    health = await gateway.fleet.driver(url).health(url, timeout_s=HEALTH_TIMEOUT_S)
    return views.instance(load, health)


router = Router("/", route_handlers=[InstancesController, distribution, moves])

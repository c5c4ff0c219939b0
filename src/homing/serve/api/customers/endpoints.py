"""`/endpoints`: a workspace's webhook receivers."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET

from homing.model.deliveries.endpoints import EndpointId, EndpointRecord, EndpointState
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.serve.api.context import ADMIN, READ, Asking, Limit, Ref, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.api.customers.bodies import (
    EndpointBody,
    EndpointChangesBody,
    EndpointListing,
    EndpointView,
    SecretRotationBody,
    TriedView,
    endpoint_view,
    tried_view,
)
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.described import also

AfterEndpoint = Annotated[str, QueryParameter(max_length=64, description="Go on behind this id")]


class EndpointsController(Controller):
    """Where a workspace's events are told. Each delivery is signed as Standard Webhooks says: docs/webhooks.md."""

    path = "/endpoints"
    tags = ["webhooks"]

    @get("/", guards=[READ], summary="List a workspace's endpoints")
    async def list_endpoints(
        self,
        gateway: TheGateway,
        caller: Asking,
        workspace_id: WorkspaceFilter = None,
        after: AfterEndpoint = "",
        limit: Limit = 50,
    ) -> EndpointListing:
        workspace = seen_workspace(caller, workspace_id)
        found = await gateway.stores.endpoints.page(workspace, after=after, limit=limit)
        counts = await gateway.stores.endpoints.counts([each.id for each in found])
        shown = [endpoint_view(each, counts[each.id]) for each in found]
        return EndpointListing(shown, found[-1].id if len(found) == limit else None)

    @post("/", guards=[ADMIN], summary="Make an endpoint", opt=also(409, 422))
    async def create(self, data: JSONBody[EndpointBody], gateway: TheGateway, caller: Asking) -> EndpointView:
        """Its secret is in the answer, this once. The URL leads to public addresses, or where the operator allows."""
        made = await gateway.endpoints.create(_workspace(caller, data.workspace_id), data.settings(), data.secret)
        return endpoint_view(made.endpoint, {}, made.secret)

    @get("/{endpoint_id:str}", guards=[READ], summary="Show an endpoint")
    async def show(self, endpoint_id: Ref, gateway: TheGateway, caller: Asking) -> EndpointView:
        endpoint = await endpoint_of(gateway, caller, endpoint_id)
        return endpoint_view(endpoint, (await gateway.stores.endpoints.counts([endpoint.id]))[endpoint.id])

    @patch("/{endpoint_id:str}", guards=[ADMIN], summary="Change an endpoint, enable or disable it", opt=also(422))
    async def change(
        self, endpoint_id: Ref, data: JSONBody[EndpointChangesBody], gateway: TheGateway, caller: Asking
    ) -> EndpointView:
        """What waits for a disabled endpoint goes on waiting, and is tried when it is enabled again."""
        endpoint = await endpoint_of(gateway, caller, endpoint_id)
        state = endpoint.state
        if data.enabled is not UNSET:
            state = EndpointState.ENABLED if data.enabled else EndpointState.DISABLED
        return endpoint_view(await gateway.endpoints.change(endpoint, data.settings(endpoint.settings), state))

    @delete("/{endpoint_id:str}", guards=[ADMIN], summary="Delete an endpoint, with its deliveries")
    async def remove(self, endpoint_id: Ref, gateway: TheGateway, caller: Asking) -> None:
        await gateway.endpoints.remove(await endpoint_of(gateway, caller, endpoint_id))

    @post(
        "/{endpoint_id:str}/rotate",
        guards=[ADMIN],
        status_code=200,
        summary="Give an endpoint a new secret; both sign for a while",
        opt=also(409, 422),
    )
    async def rotate(
        self,
        endpoint_id: Ref,
        gateway: TheGateway,
        caller: Asking,
        data: JSONBody[SecretRotationBody | None] = None,
    ) -> EndpointView:
        """The new secret signs at once, and the one before too for `overlap_s` more. An older one is gone now."""
        given = data or SecretRotationBody()
        endpoint = await endpoint_of(gateway, caller, endpoint_id)
        made = await gateway.endpoints.rotate(endpoint, given.secret, keep_s=given.overlap_s)
        return endpoint_view(made.endpoint, None, made.secret)

    @post(
        "/{endpoint_id:str}/test",
        guards=[ADMIN],
        status_code=200,
        summary="Call an endpoint now, as a trial",
        opt=also(409),
    )
    async def trial(self, endpoint_id: Ref, gateway: TheGateway, caller: Asking) -> TriedView:
        """Whatever its filter and state, with an event of the type `endpoint.test`. It is tried once."""
        return tried_view(await gateway.endpoints.trial(await endpoint_of(gateway, caller, endpoint_id)))


async def endpoint_of(gateway: Gateway, caller: Caller, ref: str) -> EndpointRecord:
    """The endpoint of this id; another workspace's is not there. Raises Problem."""
    endpoint = await gateway.stores.endpoints.find(EndpointId(ref))
    if endpoint is None or caller.workspace not in (None, endpoint.workspace_id):
        raise Problem(Code.ENDPOINT_NOT_FOUND, f"There is no endpoint {ref}")
    return endpoint


def _workspace(caller: Caller, named: int | None) -> WorkspaceId:
    workspace = seen_workspace(caller, named)
    if workspace is None:
        raise Problem(Code.INVALID_REQUEST, "Say whose endpoint it is", field="workspace_id")
    return workspace

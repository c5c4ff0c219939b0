"""`/deliveries`: events on their way to endpoints, each with its attempts."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from homing.model.deliveries.deliveries import Delivery, DeliveryId, DeliveryState
from homing.model.deliveries.endpoints import EndpointId
from homing.model.errors import Code, Problem
from homing.ports import Page
from homing.ports.deliveries.deliveries import WantedDeliveries
from homing.serve.api.context import (
    ADMIN,
    READ,
    After,
    Asking,
    Limit,
    TheGateway,
    WorkspaceFilter,
    seen_workspace,
)
from homing.serve.api.customers.bodies import DeliveryView, ReplayBody, ReplayedView, delivery_view
from homing.serve.api.customers.endpoints import endpoint_of
from homing.serve.api.listing import Listing
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.described import also

DeliveryNumber = FromPath[int]
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class DeliveriesController(Controller):
    """One event to one endpoint, for as long as it is kept."""

    path = "/deliveries"
    tags = ["webhooks"]

    @get("/", guards=[READ], summary="List deliveries, the newest first")
    async def list_deliveries(
        self,
        gateway: TheGateway,
        caller: Asking,
        workspace_id: WorkspaceFilter = None,
        endpoint_id: Annotated[str | None, QueryParameter(description="One endpoint's deliveries")] = None,
        standing: Annotated[
            Literal["pending", "delivered", "dead"] | None, QueryParameter(name="state", description="How they stand")
        ] = None,
        event: Annotated[str | None, QueryParameter(description="One type of event")] = None,
        event_id: Annotated[str | None, QueryParameter(description="The `webhook-id`")] = None,
        after: After = 0,
        limit: Limit = 50,
    ) -> Listing[DeliveryView]:
        wanted = WantedDeliveries(
            seen_workspace(caller, workspace_id),
            EndpointId(endpoint_id) if endpoint_id is not None else None,
            DeliveryState(standing) if standing is not None else None,
            event,
            event_id,
        )
        found = await gateway.stores.deliveries.page(wanted, page=Page(after, limit))
        return Listing([delivery_view(each) for each in found], found[-1].id if len(found) == limit else None)

    @get("/{number:int}", guards=[READ], summary="Show a delivery with its attempts")
    async def show(self, number: DeliveryNumber, gateway: TheGateway, caller: Asking) -> DeliveryView:
        delivery = await _delivery_of(gateway, caller, number)
        return delivery_view(delivery, await gateway.stores.deliveries.attempts(delivery.id))

    @post("/{number:int}/replay", guards=[ADMIN], status_code=202, summary="Make a delivery once more")
    async def replay_one(self, number: DeliveryNumber, gateway: TheGateway, caller: Asking) -> ReplayedView:
        """Under the same `webhook-id`. 0 if it waits to be made anyway."""
        delivery = await _delivery_of(gateway, caller, number)
        return ReplayedView(len(await gateway.endpoints.replay([delivery.id])))

    @post("/replay", guards=[ADMIN], status_code=202, summary="Make many deliveries once more", opt=also(404, 409, 422))
    async def replay(self, data: JSONBody[ReplayBody], gateway: TheGateway, caller: Asking) -> ReplayedView:
        """Those of the ids, or, of `endpoint_id`, all events between `since` and `until` (now, if it is left out)."""
        if bool(data.ids) == (data.endpoint_id is not None):
            raise Problem(Code.INVALID_REQUEST, "Say which: either `ids`, or `endpoint_id` with `since`", field="ids")
        if data.endpoint_id is None:
            mine = [await _delivery_of(gateway, caller, each) for each in data.ids]
            return ReplayedView(len(await gateway.endpoints.replay([each.id for each in mine])))
        if data.since is None and data.state is None:
            raise Problem(Code.INVALID_REQUEST, "Say from when on, or `state` for all that ended so", field="since")
        endpoint = await endpoint_of(gateway, caller, data.endpoint_id)
        since, until = _aware(data.since or _BEGINNING), data.until and _aware(data.until)
        only = DeliveryState(data.state) if data.state is not None else None
        return ReplayedView(await gateway.endpoints.replay_events(endpoint, since=since, until=until, only=only))


async def _delivery_of(gateway: Gateway, caller: Caller, number: int) -> Delivery:
    delivery = await gateway.stores.deliveries.find(DeliveryId(number))
    if delivery is None or caller.workspace not in (None, delivery.workspace_id):
        raise Problem(Code.DELIVERY_NOT_FOUND, f"There is no delivery {number}")
    return delivery


def _aware(given: datetime) -> datetime:
    """A time without a zone is UTC."""
    return given if given.tzinfo else given.replace(tzinfo=UTC)

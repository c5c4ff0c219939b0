"""`/state`: the fleet as it is, and every change of it, as a stream."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import HeaderParameter
from litestar.response import Stream

from homing.serve.api.context import READ, Asking, TheGateway, WorkspaceFilter, seen_workspace, still_allowed
from homing.serve.http.described import also
from homing.serve.state.feed import StateFeed


@get(
    "/state",
    guards=[READ],
    tags=["fleet"],
    opt=also(503, streams="text/event-stream"),
    summary="The state of the fleet, as a stream: everything, then changes",
)
async def state(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", description="Where a stream broke off")
    ] = None,
) -> Response[Any]:
    """Server-sent events: one `snapshot` with a `version`, then a `delta` for each change. With the `Last-Event-ID` of
    a frame that is still known it goes on from there; else there is a new snapshot, whose `why` says so. A workspace's
    key is told of its own sessions, and of the instances where they are.
    """
    feed: StateFeed = request.app.state.state_feed
    scope = seen_workspace(caller, workspace_id)
    place = gateway.feed.admit(caller)
    stream = feed.stream(place, scope, last_event_id, still_allowed(request, gateway, caller))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(stream, media_type="text/event-stream", headers=headers)

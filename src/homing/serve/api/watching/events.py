"""`/events`: what the instances reported, as pages or as a stream."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from homing.decide.reports.codes import without_codes
from homing.flows.media.inbound import InboundFiles
from homing.model.directory.access import Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import SessionId
from homing.model.instances.events import Event
from homing.ports import Page
from homing.serve.api.context import (
    READ,
    Asking,
    Limit,
    TheGateway,
    WorkspaceFilter,
    account_of,
    seen_workspace,
    still_allowed,
)
from homing.serve.api.listing import Listing
from homing.serve.callers.access import Caller
from homing.serve.feed import PAGE
from homing.serve.http.described import also

EVENT_STREAM = "text/event-stream"
_encode = msgspec.json.Encoder().encode


class EventView(msgspec.Struct):
    """One event. `kind` and `payload` are the instance's own, but for the address of a message's file, which is ours;
    whose it is was looked up by its session."""

    sequence: int
    id: str
    kind: str
    session_id: str | None
    account_uuid: str | None
    workspace_id: int | None
    instance_url: str | None
    occurred_at: datetime | None
    received_at: datetime
    payload: dict[str, Any]
    trace_id: str | None = None


@get(
    "/events",
    guards=[READ],
    tags=["events"],
    opt=also(shows={200: Listing[EventView]}, streams=EVENT_STREAM),
    summary="What the instances reported; as a stream if that is accepted",
)
async def events(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    caller: Asking,
    kind: Annotated[str | None, QueryParameter(description="One kind of event, in the instances' words")] = None,
    session_id: Annotated[str | None, QueryParameter(description="One session's events")] = None,
    account: Annotated[str | None, QueryParameter(description="An account's uuid, number or session")] = None,
    workspace_id: WorkspaceFilter = None,
    after: Annotated[
        int | None, QueryParameter(ge=0, le=2**63 - 1, description="Go on behind this sequence number")
    ] = None,
    limit: Limit = 50,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", description="Where a stream broke off")
    ] = None,
) -> Response[Any]:
    """Oldest first. With `Accept: text/event-stream` a stream that stays open: from `Last-Event-ID` or `after` on if
    one is given, else from now on. Events of sessions that no workspace owns are shown to operators alone.
    """
    workspace = seen_workspace(caller, workspace_id)
    account_uuid = (await account_of(gateway, caller, account)).uuid if account is not None else None
    session = SessionId(session_id) if session_id is not None else None

    async def read(behind: int, aside: bool, at_most: int = PAGE) -> Sequence[Event]:
        page = Page(behind, at_most)
        return await gateway.stores.events.page(
            workspace, page, kind=kind, session_id=session, account_uuid=account_uuid, aside=aside
        )

    if EVENT_STREAM not in request.headers.get("accept", ""):
        rows = await read(after or 0, aside=False, at_most=limit)
        shown = [view(row, caller, gateway.inbound) for row in rows]
        return Response(Listing(shown, rows[-1].sequence if len(rows) == limit else None))
    resumed = _resumed(last_event_id, after)
    begin = resumed if resumed is not None else await gateway.stores.events.last_sequence()
    allowed = still_allowed(request, gateway, caller)
    place = gateway.feed.admit(caller)
    stream = gateway.feed.stream(
        place, begin, read, lambda event: _encode(view(event, caller, gateway.inbound)), allowed
    )
    return Stream(stream, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def view(event: Event, caller: Caller, files: InboundFiles) -> EventView:
    """The event as this caller may see it: a code that links a phone is for the keys that may link one."""
    payload = files.shown(event)
    if not caller.key.scope.allows(Scope.ADMIN):
        payload = without_codes(payload, typed=not event.kind.startswith("message"))
    return EventView(
        sequence=event.sequence,
        id=event.id,
        kind=event.kind,
        session_id=event.session_id,
        account_uuid=event.account_uuid,
        workspace_id=event.workspace_id,
        instance_url=event.instance_url,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        payload=payload,
        trace_id=event.trace_id,
    )


def _resumed(last_event_id: str | None, after: int | None) -> int | None:
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 19):
        raise Problem(Code.INVALID_REQUEST, "Last-Event-ID must be a sequence number", field="Last-Event-ID")
    return int(last_event_id)

"""`/sessions`: how every session stands, from memory: found, counted and turned over in no time, however many."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter

from homing.decide.knowledge.standing import Standing
from homing.serve.api.context import READ, Asking, Limit, WorkspaceFilter, seen_workspace
from homing.serve.http.described import also
from homing.serve.state.feed import StateFeed
from homing.serve.state.finding import SessionSearch
from homing.serve.state.rows import SessionRow

Offset = Annotated[int, QueryParameter(ge=0, le=10_000_000, description="Rows to pass over")]


class SessionsView(msgspec.Struct):
    """Rows of the `total` that match, as they are known at this `version` of the gateway's state."""

    data: list[SessionRow]
    total: int
    version: int


@get("/sessions", guards=[READ], tags=["fleet"], opt=also(503), summary="How the sessions stand, worst first")
async def sessions(
    request: Request[Any, Any, Any],
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    q: Annotated[str, QueryParameter(max_length=200, description="Part of a phone, name, uuid or instance")] = "",
    standing: Annotated[Standing | None, QueryParameter(description="One word for how it stands")] = None,
    instance_url: Annotated[str | None, QueryParameter(description="Those placed there")] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> SessionsView:
    """From memory, so that a hundred thousand can be turned over as fast as ten."""
    feed: StateFeed = request.app.state.state_feed
    await feed.known()
    wanted = SessionSearch(seen_workspace(caller, workspace_id), q.strip(), standing, instance_url)
    found = feed.live.finder.found(wanted, feed.version)
    rows = [row for each in found[offset : offset + limit] if (row := feed.live.book.row(each)) is not None]
    return SessionsView(rows, len(found), feed.version)

"""`/sessions`: how every session stands, from memory: found, counted and turned over in no time, however many."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter

from homing.decide.knowledge.standing import Standing
from homing.model.fleet import SessionId
from homing.serve.api.context import READ, Asking, Limit, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.gateway import Gateway
from homing.serve.http.described import also
from homing.serve.state.feed import StateFeed
from homing.serve.state.finding import SessionSearch, Sign
from homing.serve.state.pasts import UNKNOWN, Past, pasts
from homing.serve.state.rows import SessionRow

Offset = Annotated[int, QueryParameter(ge=0, le=10_000_000, description="Rows to pass over")]


class SessionSeen(SessionRow, frozen=True):
    """A session as the state stream tells it, and how it did of late: a letter for each half hour of the last 24 hours
    (`.` well, `m` moved, `d` in doubt, `x` could not send, `-` not there yet), and what this month came to. `beats` is
    empty while the database is away.
    """

    beats: str = ""
    minutes_down: float = 0.0
    outages: int = 0


class SessionsView(msgspec.Struct):
    """Rows of the `total` that match, as they are known at this `version` of the gateway's state."""

    data: list[SessionSeen]
    total: int
    version: int


@get("/sessions", guards=[READ], tags=["fleet"], opt=also(503), summary="How the sessions stand, worst first")
async def sessions(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    q: Annotated[str, QueryParameter(max_length=200, description="Part of a phone, name, uuid or instance")] = "",
    standing: Annotated[Standing | None, QueryParameter(description="One word for how it stands")] = None,
    instance_url: Annotated[str | None, QueryParameter(description="Those placed there")] = None,
    sign: Annotated[Sign | None, QueryParameter(description="Those of which this is told besides")] = None,
    driver: Annotated[str | None, QueryParameter(max_length=100, description="Those on instances of it")] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> SessionsView:
    """From memory, so that a hundred thousand can be turned over as fast as ten."""
    feed: StateFeed = request.app.state.state_feed
    await feed.known()
    wanted = SessionSearch(seen_workspace(caller, workspace_id), q.strip(), standing, instance_url, sign, driver)
    version = feed.version
    found = await feed.live.finder.found(wanted, version, offset, limit)
    return SessionsView(await seen(gateway, feed, found.sessions), found.total, version)


async def seen(gateway: Gateway, feed: StateFeed, sessions: Sequence[SessionId]) -> list[SessionSeen]:
    """The rows of these sessions, with their past."""
    past = await pasts(gateway, feed.live, sessions)
    rows = [(each, row) for each in sessions if (row := feed.live.book.row(each)) is not None]
    return [_seen(row, past.get(each, UNKNOWN)) for each, row in rows]


def _seen(row: SessionRow, past: Past) -> SessionSeen:
    return SessionSeen(**msgspec.structs.asdict(row), **msgspec.structs.asdict(past))

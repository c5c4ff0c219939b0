"""`/now`: what the first page says, in figures and sentences: what is wrong, what is being done, what is yours."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter

from homing.serve.api.context import READ, Asking, TheGateway
from homing.serve.api.fleet.moves import MoveView, move_view
from homing.serve.http.described import also
from homing.serve.page import now as page
from homing.serve.page.charts import Chart
from homing.serve.page.viewer import Viewer, names_in, verdict_of
from homing.serve.state.feed import StateFeed
from homing.serve.state.rows import SessionCounts

_UNBROKEN = "\u00a0"
"""What keeps a phone on one line of the page."""


class NowVerdict(msgspec.Struct):
    """The fleet in one sentence. `tone` is `ok`, `busy`, `warn`, `bad` or `off`."""

    tone: str
    says: str
    more: str


class NowLine(msgspec.Struct):
    """One line of a column: what it is about, since when and why; `path` is the page where more is said."""

    tone: str
    says: str
    text: str
    small: str
    path: str


class LastHourView(msgspec.Struct):
    """What the last hour came to. `unknown` is of the newest 200 messages; `sends_waiting` is told to operators."""

    moves: int
    moves_by_cause: dict[str, int]
    send_again_p50_ms: int | None
    send_again_p99_ms: int | None
    send_again_n: int
    unknown: int
    oldest_unknown_at: datetime | None
    sends_waiting: int | None


class PlotView(msgspec.Struct):
    """What stands at the head of a plot, and what it says of each of its parts."""

    title: str
    value: str
    value_of: str
    parts: list[str]


class NowView(msgspec.Struct):
    """The first page, at this `version` of the gateway's state."""

    at: datetime
    version: int
    verdict: NowVerdict
    wrong: list[NowLine]
    doing: list[NowLine]
    yours: list[NowLine]
    session_counts: SessionCounts
    last_hour: LastHourView
    plots: list[PlotView]
    moves: list[MoveView]


@get(
    "/now", guards=[READ], tags=["fleet"], opt=also(503), summary="What is wrong, what is done about it, what is yours"
)
async def now(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    caller: Asking,
    span: Annotated[Literal["", "24h"], QueryParameter(description="Over which time the plots are; else an hour")] = "",
) -> NowView:
    """The page `/now` is drawn from the same. Each caller is told of what its key sees."""
    feed: StateFeed = request.app.state.state_feed
    await feed.known()
    viewer = Viewer(gateway, feed, caller, "", gateway.clock.now(), names_in(gateway))
    seen, says = await page.seen(viewer, span), verdict_of(viewer)
    return NowView(
        viewer.now,
        feed.version,
        NowVerdict(says.tone.value, says.says, says.more),
        [_line(each) for each in seen.wrong],
        [_line(each) for each in seen.doing],
        [_line(each) for each in seen.yours],
        seen.counts,
        _last_hour(seen.hour),
        [_plot(each) for each in seen.charts],
        [move_view(each) for each in seen.moves],
    )


def _line(item: page.Item) -> NowLine:
    strong, text, small = (said.replace(_UNBROKEN, " ") for said in (item.strong, item.text, item.small))
    return NowLine(item.tone, strong, text, small, item.href)


def _last_hour(hour: page.LastHour) -> LastHourView:
    return LastHourView(
        moves=len(hour.moves),
        moves_by_cause={cause.value: number for cause, number in hour.by_cause.items()},
        send_again_p50_ms=hour.took_of(50),
        send_again_p99_ms=hour.took_of(99),
        send_again_n=len(hour.took_ms),
        unknown=hour.unknown,
        oldest_unknown_at=hour.oldest_unknown_at,
        sends_waiting=hour.waiting,
    )


def _plot(chart: Chart) -> PlotView:
    return PlotView(chart.title, chart.value, chart.value_of, [each.words for each in chart.legend])

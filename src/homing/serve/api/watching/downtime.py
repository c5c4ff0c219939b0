"""`/downtime`: for how long each session could not send in a month, how often, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter

from homing.decide.knowledge.downtime import Month, month_named, month_of, summed
from homing.model.errors import Code, Problem
from homing.model.fleet import SessionId, WorkspaceId
from homing.model.sessions.downtime import Downtime
from homing.ports import Page
from homing.serve.api.context import READ, After, Asking, Limit, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.tables import written

ROWS_AT_ONCE = 500

MonthAsked = Annotated[str | None, QueryParameter(description="Such as 2026-01, in UTC; this month if none is named")]
Session = Annotated[str | None, QueryParameter(max_length=200, description="This session alone")]


class DowntimeView(msgspec.Struct):
    """One session in one month. `reasons` are minutes by reason. `time_to_repair_s` is the mean of the outages that
    ended in it, and `down_now` whether it cannot send at this moment.
    """

    account_id: int
    session_id: str
    workspace_id: int
    month: str
    minutes_down: float
    outages: int
    time_to_repair_s: float | None
    longest_s: float | None
    failed_sends: int
    reasons: dict[str, float]
    down_now: bool


class DowntimePage(msgspec.Struct):
    """The sessions that were down in the month, by account; the sums are those of this page."""

    data: list[DowntimeView]
    next: int | None
    month: str
    minutes_down: float
    failed_sends: int


def downtime_view(down: Downtime, month: Month) -> DowntimeView:
    repair_s = down.time_to_repair_s
    return DowntimeView(
        down.account_id,
        down.session_id,
        down.workspace_id,
        str(month),
        _minutes(down.down_s),
        down.outages,
        None if repair_s is None else round(repair_s, 1),
        round(max(down.repairs_s), 1) if down.repairs_s else None,
        down.failed_sends,
        {reason: _minutes(seconds) for reason, seconds in sorted(down.reasons_s.items())},
        down.down_now,
    )


@get("/downtime", guards=[READ], summary="For how long each session could not send in a month")
async def downtime(
    gateway: TheGateway,
    caller: Asking,
    month: MonthAsked = None,
    session_id: Session = None,
    workspace_id: WorkspaceFilter = None,
    after: After = 0,
    limit: Limit = 50,
) -> DowntimePage:
    """By what the gateways saw: a session that was stopped by request, or never linked, was not down. `after` goes on
    behind an account's id.
    """
    asked = _asked(month, gateway.clock.now())
    found = await down_in(gateway, seen_workspace(caller, workspace_id), asked, Page(after, limit), session_id)
    rows = [downtime_view(each, asked) for each in found]
    following = rows[-1].account_id if len({row.account_id for row in rows}) == limit else None
    minutes, failed = sum(row.minutes_down for row in rows), sum(row.failed_sends for row in rows)
    return DowntimePage(rows, following, str(asked), round(minutes, 2), failed)


@get("/downtime.csv", guards=[READ], summary="The same as a table, all of it", media_type="text/csv")
async def downtime_csv(
    gateway: TheGateway, caller: Asking, month: MonthAsked = None, workspace_id: WorkspaceFilter = None
) -> Response[bytes]:
    asked = _asked(month, gateway.clock.now())
    rows = await _all_rows(gateway, caller, workspace_id, asked)
    named = f'attachment; filename="downtime-{asked}.csv"'
    return Response(_table(rows), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": named})


router = Router("/", route_handlers=[downtime, downtime_csv], tags=["operations"])


async def _all_rows(gateway: Gateway, caller: Caller, named: int | None, month: Month) -> list[DowntimeView]:
    workspace = seen_workspace(caller, named)
    rows: list[DowntimeView] = []
    after = 0
    while found := await down_in(gateway, workspace, month, Page(after, ROWS_AT_ONCE), None):
        rows += [downtime_view(each, month) for each in found]
        after = found[-1].account_id
    return rows


async def down_in(
    gateway: Gateway, workspace: WorkspaceId | None, month: Month, page: Page, session_id: str | None
) -> Sequence[Downtime]:
    """What the month came to for each session of a page's accounts."""
    ledger, session = gateway.stores.downtime, SessionId(session_id) if session_id is not None else None
    outages = await ledger.between(month.begins, month.ends, workspace, page, session_id=session)
    failed = await ledger.failed_sends(month.begins, {each.session_id for each in outages})
    return summed(outages, failed, month, gateway.clock.now())


def _asked(month: str | None, now: datetime) -> Month:
    try:
        return month_of(now) if month is None else month_named(month)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, str(error), field="month") from None


def _minutes(seconds: float) -> float:
    return round(seconds / 60, 2)


_COLUMNS = (
    "month",
    "account_id",
    "session_id",
    "workspace_id",
    "minutes_down",
    "outages",
    "time_to_repair_s",
    "longest_s",
    "failed_sends",
    "reasons",
    "down_now",
)


def _table(rows: Sequence[DowntimeView]) -> bytes:
    lines: list[Sequence[object]] = [_COLUMNS]
    for row in rows:
        reasons = "; ".join(f"{reason}: {minutes} min" for reason, minutes in row.reasons.items())
        cells = msgspec.structs.asdict(row) | {"reasons": reasons}
        lines.append([cells[name] for name in _COLUMNS])
    return written(lines)

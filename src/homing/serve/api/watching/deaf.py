"""`/deaf`: sessions that are connected and not well, what was seen and tried, and what would be next."""

from datetime import datetime
from typing import assert_never

import msgspec
from litestar import get
from litestar.params import FromQuery

from homing.decide.hearing.ladder import Climb, Listen, NextRung, NothingMore
from homing.flows.hearing.judging import JudgedHearing
from homing.model.fleet import SessionId, WorkspaceId
from homing.model.sessions.hearing import Hearing, RungHistory
from homing.serve.api.context import READ, Asking, Limit, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.api.listing import Listing
from homing.serve.gateway import Gateway


class TriedRungView(msgspec.Struct):
    """One rung that was tried. `ended_at` is null while it is under way, or its gateway was killed in the middle."""

    rung: str
    began_at: datetime
    ended_at: datetime | None
    result: str


class DeafView(msgspec.Struct):
    """A session that is `doubtful` or `deaf`, since when and why, and what is `next`, with its reason.

    `next` is a rung of the ladder; `wait` while what was tried is given time, and null where nothing is done by itself.
    """

    account_id: int
    account_uuid: str
    workspace_id: int
    phone: str
    session_id: str
    instance_url: str
    hearing: str
    since_at: datetime
    reason: str
    last_message_at: datetime | None
    last_acknowledged_at: datetime | None
    tried: list[TriedRungView]
    next: str | None
    next_reason: str


class RungView(msgspec.Struct):
    """One rung that was tried with a session, where, and why. `ended_at` is null while it is under way, or its gateway
    was killed in the middle."""

    account_id: int
    workspace_id: int
    session_id: str
    instance_url: str
    rung: str
    reason: str
    began_at: datetime
    ended_at: datetime | None
    result: str


@get("/deaf/rungs", guards=[READ], tags=["operations"], summary="What was tried with deaf sessions, the newest first")
async def rungs(
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    session_id: FromQuery[str | None] = None,
    limit: Limit = 100,
) -> Listing[RungView]:
    """Ninety days are kept."""
    workspace = seen_workspace(caller, workspace_id)
    session = SessionId(session_id) if session_id is not None else None
    found = await gateway.stores.hearings.history(workspace, session=session, limit=limit)
    return Listing([_rung_view(each) for each in found])


def _rung_view(each: RungHistory) -> RungView:
    tried = each.tried
    return RungView(
        each.account_id,
        each.workspace_id,
        each.session_id,
        each.instance_url,
        tried.rung.value,
        each.reason,
        tried.began_at,
        tried.ended_at,
        tried.result,
    )


@get("/deaf", guards=[READ], tags=["operations"], summary="Sessions that are connected and not well")
async def deaf(gateway: TheGateway, caller: Asking, workspace_id: WorkspaceFilter = None) -> Listing[DeafView]:
    """Judged now, by what is kept of what came; nothing is changed and nothing is tried by asking."""
    return Listing(await not_well(gateway, seen_workspace(caller, workspace_id)))


async def not_well(gateway: Gateway, workspace: WorkspaceId | None) -> list[DeafView]:
    """Those of a workspace, or all, judged now."""
    judged = [each for each in await gateway.care.judging.judged() if each.record.hearing is not Hearing.HEARING]
    planned = {each.case.session_id: next_ for each, next_ in await gateway.care.judging.planned(judged)}
    seen = [each for each in judged if workspace in (None, each.case.workspace_id)]
    return [_deaf_view(each, planned.get(each.case.session_id)) for each in seen]


def _deaf_view(judged: JudgedHearing, next_: NextRung | None) -> DeafView:
    case, record = judged.case, judged.record
    wanted, why = _next(next_)
    return DeafView(
        account_id=case.account_id,
        account_uuid=case.account_uuid,
        workspace_id=case.workspace_id,
        phone=case.phone,
        session_id=case.session_id,
        instance_url=case.instance_url,
        hearing=record.hearing.value,
        since_at=record.since_at,
        reason=record.reason,
        last_message_at=case.last_at,
        last_acknowledged_at=case.acknowledged_at,
        tried=[TriedRungView(each.rung.value, each.began_at, each.ended_at, each.result) for each in record.tried],
        next=wanted,
        next_reason=why,
    )


def _next(next_: NextRung | None) -> tuple[str | None, str]:
    match next_:
        case None:
            return None, "it is only doubtful"
        case Climb(rung=rung, passed_over=passed):
            return rung.value, f"not tried: {'; '.join(passed)}" if passed else "it is the next one"
        case Listen(reason=reason):
            return "wait", reason
        case NothingMore(reason=reason):
            return None, reason
        case _:
            assert_never(next_)

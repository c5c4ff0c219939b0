"""`/deaf`: sessions that are connected and not well, what was seen and tried, and what would be next."""

from datetime import datetime
from typing import assert_never

import msgspec
from litestar import get

from homing.decide.hearing.ladder import Climb, Listen, NextRung, NothingMore
from homing.flows.hearing.judging import JudgedHearing
from homing.model.fleet import WorkspaceId
from homing.model.sessions.hearing import Hearing
from homing.serve.api.context import READ, Asking, TheGateway, WorkspaceFilter, seen_workspace
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

"""`/recycles`: instances that are started anew by whoever supervises them, and how far that is."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from homing.model.instances.recycling import Recycle
from homing.serve.api.context import OPERATOR, Asking, Limit, TheGateway, instance_of, operator
from homing.serve.api.listing import Listing
from homing.serve.http.described import also


class RecycleBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why, and whether sessions that cannot leave may be away meanwhile; null: as its label `recycle` says."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "by request"
    with_gap: bool | None = None


class RecycleView(msgspec.Struct):
    """One instance that is to be started anew. `state` is `asked`, `emptying`, `waiting` for its new process, `done` or
    `failed`; `result` says how it ended. `stayed` sessions are away while its process is."""

    id: int
    instance_url: str
    state: str
    reason: str
    with_gap: bool
    stayed: int
    asked_at: datetime
    told_at: datetime | None
    ended_at: datetime | None
    result: str


@post(
    "/instances/{number:int}/recycle",
    guards=[OPERATOR],
    opt=also(409),
    status_code=202,
    summary="Have it started anew by its supervisor, emptied first",
)
async def recycle(
    number: FromPath[int], gateway: TheGateway, caller: Asking, data: JSONBody[RecycleBody | None] = None
) -> RecycleView:
    """One instance after the other; asking again for one that is not over answers that one. 409 `not_supported` where
    no supervisor is named."""
    operator(caller)
    instance, wanted = await instance_of(gateway, number), data or RecycleBody()
    await gateway.stores.audit.note("instance.recycle", f"instance {instance.url}", {"reason": wanted.reason})
    return _view(await gateway.moving.recycling.ask(instance.url, wanted.reason, with_gap=wanted.with_gap))


@get("/recycles", guards=[OPERATOR], summary="Instances that are, or were, to be started anew, the newest first")
async def recycles(gateway: TheGateway, limit: Limit = 100) -> Listing[RecycleView]:
    return Listing([_view(each) for each in await gateway.moving.recycling.newest(limit)])


def _view(each: Recycle) -> RecycleView:
    return RecycleView(
        each.id,
        each.instance_url,
        each.state.value,
        each.reason,
        each.with_gap,
        each.stayed,
        each.asked_at,
        each.told_at,
        each.ended_at,
        each.result,
    )


router = Router("/", route_handlers=[recycle, recycles], tags=["fleet"])

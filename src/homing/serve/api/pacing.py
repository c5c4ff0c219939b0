"""How fast accounts may write: their pace, and what is left of it today."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.sends.pacing import PRESETS, PacePolicy, QuietHours, WarmUp
from homing.serve.api.context import ADMIN, READ, Asking, Ref, TheGateway, account_of
from homing.serve.callers.access import Caller
from homing.serve.http.described import also

Number = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0, le=3_600)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class WarmUpBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """So many messages on an account's first day, times `factor` on each day after it, for so many days."""

    first_day: Number
    factor: Annotated[float, Meta(ge=1, le=10)]
    days: Annotated[int, Meta(ge=1, le=365)]


class QuietBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """From and until when nobody is written to, by the clock where the recipient is."""

    from_: TimeOfDay = msgspec.field(name="from")
    until: TimeOfDay


class PaceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A preset, or limits; with both, the limits replace those of the preset."""

    preset: Literal["careful", "steady"] | None = None
    per_minute: Number | None = None
    per_hour: Number | None = None
    per_day: Number | None = None
    new_chats_per_day: Number | None = None
    gap: tuple[Seconds, Seconds] | None = None
    ramp: Seconds | None = None
    warm_up: WarmUpBody | None = None
    quiet_hours: QuietBody | None = None
    typing_ms_per_char: Annotated[int, Meta(ge=1, le=1_000)] | None = None


class PaceView(msgspec.Struct):
    """The pace in force: what is `left` of each limit, in messages, `of` how many; null where there is none."""

    policy: dict[str, Any] | None
    left: dict[str, int]
    of: dict[str, int]
    next_in_s: float


def pace_view(shown: dict[str, Any] | None) -> PaceView:
    return PaceView(None, {}, {}, 0.0) if shown is None else PaceView(**shown)


def policy_of(body: PaceBody) -> PacePolicy:
    """Raises Problem for a pace that limits nothing, or whose times say nothing."""
    base = PRESETS[body.preset] if body.preset is not None else PacePolicy()
    quiet, warm_up = body.quiet_hours, body.warm_up
    if quiet is not None and quiet.from_ == quiet.until:
        raise Problem(Code.INVALID_REQUEST, "Quiet hours end at another time than they begin", field="quiet_hours")
    if body.gap is not None and body.gap[0] > body.gap[1]:
        raise Problem(Code.INVALID_REQUEST, "The shortest gap is longer than the longest", field="gap")
    given: dict[str, Any] = {
        "per_minute": body.per_minute,
        "per_hour": body.per_hour,
        "per_day": body.per_day,
        "new_chats_per_day": body.new_chats_per_day,
        "gap_s": body.gap,
        "ramp_s": body.ramp,
        "warm_up": None if warm_up is None else WarmUp(warm_up.first_day, warm_up.factor, warm_up.days),
        "typing_ms_per_char": body.typing_ms_per_char,
        "quiet": None if quiet is None else QuietHours(_minutes(quiet.from_), _minutes(quiet.until)),
    }
    made = replace(base, **{name: value for name, value in given.items() if value is not None})
    if made == PacePolicy():
        raise Problem(Code.INVALID_REQUEST, "This limits nothing; DELETE takes a pace away", field="preset")
    return made


def _minutes(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)


@get("/accounts/{ref:str}/pace", guards=[READ], tags=["outbox"], opt=also(404), summary="An account's pace")
async def pace(ref: Ref, gateway: TheGateway, caller: Asking) -> PaceView:
    """Its own, or its workspace's; and what is left of it."""
    account = await account_of(gateway, caller, ref)
    return pace_view(await gateway.stores.outbox.pace(account.workspace_id, account.uuid))


@put(
    "/accounts/{ref:str}/pace",
    status_code=200,
    guards=[ADMIN],
    tags=["outbox"],
    opt=also(404),
    summary="Set how fast an account may write",
)
async def set_pace(data: JSONBody[PaceBody], ref: Ref, gateway: TheGateway, caller: Asking) -> PaceView:
    account = await account_of(gateway, caller, ref)
    await gateway.stores.outbox.set_pace(account.workspace_id, account.uuid, policy_of(data))
    return pace_view(await gateway.stores.outbox.pace(account.workspace_id, account.uuid))


@delete(
    "/accounts/{ref:str}/pace",
    status_code=204,
    guards=[ADMIN],
    tags=["outbox"],
    opt=also(404),
    summary="Take an account's own pace away",
)
async def take_pace_away(ref: Ref, gateway: TheGateway, caller: Asking) -> None:
    account = await account_of(gateway, caller, ref)
    await gateway.stores.outbox.set_pace(account.workspace_id, account.uuid, None)


@put(
    "/workspaces/{number:int}/pace",
    status_code=200,
    guards=[ADMIN],
    tags=["outbox"],
    opt=also(404),
    summary="Set how fast each account of a workspace may write",
)
async def set_pace_of_all(
    data: JSONBody[PaceBody], number: FromPath[int], gateway: TheGateway, caller: Asking
) -> PaceView:
    """Of those that have no pace of their own."""
    workspace = _workspace(caller, number)
    await gateway.stores.outbox.set_pace(workspace, None, policy_of(data))
    return pace_view(await gateway.stores.outbox.pace(workspace, None))


@delete(
    "/workspaces/{number:int}/pace",
    status_code=204,
    guards=[ADMIN],
    tags=["outbox"],
    opt=also(404),
    summary="Take a workspace's pace away",
)
async def take_pace_of_all_away(number: FromPath[int], gateway: TheGateway, caller: Asking) -> None:
    await gateway.stores.outbox.set_pace(_workspace(caller, number), None, None)


def _workspace(caller: Caller, number: int) -> WorkspaceId:
    if caller.names_another(number):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {number} for this key")
    return caller.acting_for(number)


router = Router("/", route_handlers=[pace, set_pace, take_pace_away, set_pace_of_all, take_pace_of_all_away])

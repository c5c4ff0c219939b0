"""`/distribution`, `/moves` and `/rebalance`: what the fleet carries, what went where, and what should."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from homing.flows.operations.migrate import MigrationRequest
from homing.flows.operations.rebalance import Balanced
from homing.model.fleet import Move, MoveKind, SessionId
from homing.ports import Page
from homing.serve.api.context import (
    ADMIN,
    READ,
    After,
    Asking,
    Limit,
    TheGateway,
    WorkspaceFilter,
    account_of,
    operator,
    seen_workspace,
)
from homing.serve.api.fleet.adoption import AdoptionController
from homing.serve.api.fleet.instances import InstancesController
from homing.serve.api.fleet.webhooks import WebhooksController
from homing.serve.api.listing import Listing, page_of


class RebalanceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Spread the sessions evenly. `dry_run` only says what would move."""

    dry_run: bool = False


class DistributionView(msgspec.Struct):
    """How many sessions are connected on an instance, and their phones."""

    instance_url: str
    session_count: int
    phones: list[str]


class MoveView(msgspec.Struct):
    """One line of the log of moves. `steps` says how long each part took, in ms."""

    id: int
    at: datetime
    kind: str
    session_id: str
    account_id: int
    workspace_id: int
    from_url: str | None
    to_url: str | None
    epoch: int
    fence: str | None
    reason: str
    duration_ms: int | None
    steps: dict[str, int]
    run_id: str | None
    trace_id: str | None = None


class WantedView(msgspec.Struct):
    """A session that is to move. Not `new`: it was to move already. Where it is can be seen at its account."""

    account_id: int
    account_uuid: str
    session_id: str
    from_url: str | None
    from_epoch: int
    to_url: str | None
    new: bool


class PlannedMoveView(msgspec.Struct):
    """One move of a plan. `expected_gap_ms` is how long it will not be able to send; messages wait for it meanwhile."""

    order: int
    account_id: int
    phone: str
    session_id: str
    from_url: str
    to_url: str
    why: str
    expected_gap_ms: int


class SkippedView(msgspec.Struct):
    """A session that was looked at and stays."""

    account_id: int
    phone: str
    session_id: str
    reason: str


class PlanView(msgspec.Struct):
    """What is to move, in order, and what stays. `begun` counts the moves that were begun; null in a dry run."""

    dry_run: bool
    reason: str
    begun: int | None
    moves: list[PlannedMoveView]
    skipped: list[SkippedView]


def move_view(move: Move) -> MoveView:
    return MoveView(
        id=move.id,
        at=move.at,
        kind=move.kind.value,
        session_id=move.session_id,
        account_id=move.account_id,
        workspace_id=move.workspace_id,
        from_url=move.from_url,
        to_url=move.to_url,
        epoch=move.epoch,
        fence=move.fence,
        reason=move.reason,
        duration_ms=move.duration_ms,
        steps=dict(move.steps),
        run_id=move.run_id,
        trace_id=move.trace_id,
    )


def wanted_view(wanted: MigrationRequest) -> WantedView:
    account = wanted.account
    return WantedView(
        account_id=account.id,
        account_uuid=account.uuid,
        session_id=account.session_id,
        from_url=account.placement.instance_url,
        from_epoch=account.placement.epoch,
        to_url=wanted.to_url,
        new=wanted.new,
    )


def plan_view(balanced: Balanced) -> PlanView:
    accounts = balanced.accounts
    moves = [
        PlannedMoveView(
            order=move.order,
            account_id=accounts[move.session_id].id,
            phone=accounts[move.session_id].phone,
            session_id=move.session_id,
            from_url=move.from_url,
            to_url=move.to_url,
            why=move.why,
            expected_gap_ms=move.expected_gap_ms,
        )
        for move in balanced.plan.moves
    ]
    skipped = [
        SkippedView(accounts[each.session_id].id, accounts[each.session_id].phone, each.session_id, each.reason)
        for each in balanced.plan.skipped
    ]
    return PlanView(balanced.begun is None, balanced.plan.reason, balanced.begun, moves, skipped)


@get("/distribution", guards=[ADMIN], tags=["fleet"], summary="Connected sessions on each instance, with their phones")
async def distribution(
    gateway: TheGateway, caller: Asking, workspace_id: WorkspaceFilter = None
) -> Listing[DistributionView]:
    """An operator sees all sessions, a workspace its own."""
    away = gateway.watching.down()
    loads = await gateway.stores.directory.loads(seen_workspace(caller, workspace_id))
    loads = [load.away() if load.instance.url in away else load for load in loads]
    return Listing([DistributionView(load.instance.url, load.connected, list(load.phones)) for load in loads])


@get("/moves", guards=[READ], tags=["fleet"], summary="Which session went where, when, and why; newest first")
async def moves(
    gateway: TheGateway,
    caller: Asking,
    session_id: FromQuery[str | None] = None,
    account: Annotated[str | None, QueryParameter(description="An account's uuid, number or session")] = None,
    kind: FromQuery[MoveKind | None] = None,
    workspace_id: WorkspaceFilter = None,
    after: After = 0,
    limit: Limit = 50,
) -> Listing[MoveView]:
    session = SessionId(session_id) if session_id is not None else None
    if account is not None:
        session = (await account_of(gateway, caller, account)).session_id
    workspace = seen_workspace(caller, workspace_id)
    rows = await gateway.stores.directory.moves(workspace, Page(after, limit), session_id=session, kind=kind)
    return page_of([move_view(row) for row in rows], limit)


@post("/rebalance", guards=[ADMIN], status_code=202, tags=["fleet"], summary="Spread the sessions evenly")
async def rebalance(data: JSONBody[RebalanceBody], gateway: TheGateway, caller: Asking) -> PlanView:
    """The plan, in its order. With `dry_run` nothing moves; else it is begun, idle sessions first."""
    operator(caller)
    if not data.dry_run:
        await gateway.stores.audit.note("fleet.rebalanced", "fleet")
    return plan_view(await gateway.moving.balance.rebalance(dry_run=data.dry_run))


router = Router(
    "/", route_handlers=[AdoptionController, InstancesController, WebhooksController, distribution, moves, rebalance]
)

"""`/pairing`: the sessions whose phones have to be linked, since when, and what waits behind them."""

from datetime import datetime

import msgspec
from litestar import get

from homing.model.fleet import Account, SessionStatus, WorkspaceId
from homing.ports import Page
from homing.serve.api.context import READ, Asking, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.api.listing import Listing
from homing.serve.gateway import Gateway

LISTED_MAX = 200


class ToPairView(msgspec.Struct):
    """A session that a person has to link. `waiting` counts its messages that are accepted and not sent yet."""

    account_id: int
    account_uuid: str
    workspace_id: int
    phone: str
    name: str
    status: str
    since_at: datetime | None
    instance_url: str | None
    waiting: int


@get("/pairing", guards=[READ], tags=["operations"], summary="The sessions whose phones have to be linked")
async def to_pair(gateway: TheGateway, caller: Asking, workspace_id: WorkspaceFilter = None) -> Listing[ToPairView]:
    """The longest first, at most 200 of each: those that show a code, and those whose link has ended."""
    return Listing(await unlinked(gateway, seen_workspace(caller, workspace_id)))


async def unlinked(gateway: Gateway, workspace: WorkspaceId | None) -> list[ToPairView]:
    """Those of a workspace, or all; the longest first."""
    found: list[Account] = []
    for status in (SessionStatus.LOGGED_OUT, SessionStatus.PAIRING):
        page = Page(after=0, limit=LISTED_MAX)
        found += await gateway.stores.directory.accounts(workspace, page, status=status)
    found.sort(key=lambda account: (account.status_at or account.created_at, account.id))
    return [await _view(gateway, account) for account in found]


async def _view(gateway: Gateway, account: Account) -> ToPairView:
    waiting = await gateway.stores.outbox.waiting(account.uuid)
    return ToPairView(
        account_id=account.id,
        account_uuid=account.uuid,
        workspace_id=account.workspace_id,
        phone=account.phone,
        name=account.name,
        status=account.status.value,
        since_at=account.status_at,
        instance_url=account.placement.instance_url,
        waiting=sum(waiting.values()),
    )

"""`/workspaces`: the tenants, and how their numbers are read."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Controller, get, patch
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from homing.model.directory.access import RateLimit
from homing.model.directory.phones import Bare
from homing.model.directory.workspaces import Workspace
from homing.model.errors import Code, Problem
from homing.model.fleet import DeafPolicy
from homing.ports import WorkspaceChanges
from homing.serve.api.context import ADMIN, READ, Asking, TheGateway, operator
from homing.serve.api.fields import Name
from homing.serve.api.listing import Listing
from homing.serve.callers.access import Caller
from homing.serve.callers.workspaces import region_of
from homing.serve.gateway import Gateway


class RateLimitView(msgspec.Struct):
    """So many requests in so many seconds."""

    requests: int
    per_s: int


class WorkspaceView(msgspec.Struct):
    """A tenant. `region` is where its national numbers belong, `bare_digits` what digits mean that name no country.

    `rate_limit` is for all of its keys together.
    """

    id: int
    name: str
    region: str
    bare_digits: str
    created_at: datetime
    rate_limit: RateLimitView | None = None
    deaf_policy: str | None = None


class RateLimitBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """So many requests in so many seconds. All of them may come at once; then they come back evenly."""

    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    per_s: Annotated[int, Meta(ge=1, le=86_400)] = 60

    def limit(self) -> RateLimit:
        return RateLimit(self.requests, self.per_s)


class WorkspaceChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be set of a workspace. `region` is where its national numbers belong (ISO 3166); null: where the
    gateway's settings say. `bare_digits` is what digits mean that name no country code: `strict` takes the only valid
    reading. `rate_limit` is for all of its keys together, and for operators to set; null: none. `deaf_policy` is what
    may be done by itself for sessions that are deaf, where the account says nothing; null: as the settings say."""

    name: Name | UnsetType = UNSET
    region: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType | None = UNSET
    bare_digits: Literal["strict", "national", "international"] | UnsetType = UNSET
    rate_limit: RateLimitBody | UnsetType | None = UNSET
    deaf_policy: Literal["observe", "restart", "full"] | UnsetType | None = UNSET


def workspace_view(workspace: Workspace, default_region: str) -> WorkspaceView:
    return WorkspaceView(
        workspace.id,
        workspace.name,
        workspace.region or default_region,
        workspace.bare_digits.value,
        workspace.created_at,
        rate_limit_view(workspace.rate_limit),
        workspace.deaf_policy.value if workspace.deaf_policy is not None else None,
    )


def rate_limit_view(limit: RateLimit | None) -> RateLimitView | None:
    return None if limit is None else RateLimitView(limit.requests, limit.per_s)


class WorkspacesController(Controller):
    """Workspaces are named by their number. A key that acts for one sees and changes that one alone."""

    path = "/workspaces"
    tags = ["workspaces"]

    @get("/", guards=[READ], summary="List workspaces")
    async def list_workspaces(self, gateway: TheGateway, caller: Asking) -> Listing[WorkspaceView]:
        rows = [each for each in await gateway.stores.directory.workspaces() if not caller.names_another(each.id)]
        return Listing([_view(gateway, row) for row in rows])

    @get("/{number:int}", guards=[READ], summary="Show a workspace")
    async def show(self, number: FromPath[int], gateway: TheGateway, caller: Asking) -> WorkspaceView:
        return _view(gateway, await _workspace(gateway, caller, number))

    @patch(
        "/{number:int}",
        guards=[ADMIN],
        summary="Set a workspace's name, how it reads numbers, how often it may ask",
    )
    async def change(
        self, number: FromPath[int], data: JSONBody[WorkspaceChangesBody], gateway: TheGateway, caller: Asking
    ) -> WorkspaceView:
        """Numbers that were read before stay as they are."""
        known = await _workspace(gateway, caller, number)
        if data.rate_limit is not UNSET:
            operator(caller, "How often a workspace may ask")
        changed = await gateway.stores.directory.change_workspace(known.id, _changes(data))
        await gateway.workspaces.refresh()
        return _view(gateway, changed or known)


def _changes(data: WorkspaceChangesBody) -> WorkspaceChanges:
    changes = WorkspaceChanges()
    if data.name is not UNSET:
        changes["name"] = data.name
    if data.region is not UNSET:
        changes["region"] = None if data.region is None else region_of(data.region)
    if data.bare_digits is not UNSET:
        changes["bare_digits"] = Bare(data.bare_digits)
    if data.rate_limit is not UNSET:
        changes["rate_limit"] = data.rate_limit.limit() if data.rate_limit is not None else None
    if data.deaf_policy is not UNSET:
        changes["deaf_policy"] = DeafPolicy(data.deaf_policy) if data.deaf_policy is not None else None
    return changes


def _view(gateway: Gateway, workspace: Workspace) -> WorkspaceView:
    return workspace_view(workspace, gateway.workspaces.default_region)


async def _workspace(gateway: Gateway, caller: Caller, number: int) -> Workspace:
    known = await gateway.stores.directory.workspaces()
    found = next((each for each in known if each.id == number), None)
    if found is None or caller.names_another(number):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {number} for this key")
    return found

"""`/workspaces`: the tenants, and how their numbers are read."""

from litestar import Controller, get, patch
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from homing.model.errors import Code, Problem
from homing.model.phones import Bare
from homing.model.workspaces import Workspace
from homing.ports import WorkspaceChanges
from homing.serve import views
from homing.serve.api.context import ADMIN, READ, Asking, TheGateway, operator
from homing.serve.bodies import WorkspaceChangesBody
from homing.serve.callers.access import Caller
from homing.serve.callers.workspaces import region_of
from homing.serve.gateway import Gateway
from homing.serve.views import Listing, WorkspaceView


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
    return changes


def _view(gateway: Gateway, workspace: Workspace) -> WorkspaceView:
    return views.workspace(workspace, gateway.workspaces.default_region)


async def _workspace(gateway: Gateway, caller: Caller, number: int) -> Workspace:
    known = await gateway.stores.directory.workspaces()
    found = next((each for each in known if each.id == number), None)
    if found is None or caller.names_another(number):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {number} for this key")
    return found

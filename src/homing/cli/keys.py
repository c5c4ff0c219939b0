"""`homing keys`: who may call the API."""

from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.options import AsJson, Name, Scope
from homing.cli.output import Columns, moment, note, print_json, print_rows
from homing.cli.source import source
from homing.cli.stops import CannotStart

app = App(name="keys", help="API keys: who may call the API, for which workspace, and how far.")

_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "scope": "scope",
    "workspace": lambda row: row["workspace_id"] if row["workspace_id"] is not None else "all (operator)",
    "created": moment("created_at"),
}


@app.default
@app.command(name="list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List the keys in force. Their secrets are not stored anywhere.

    Example: `homing keys`
    """
    page = source().keys()
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="There are no keys; make one with `homing keys create`.")


@app.command
def create(
    *,
    workspace: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="The one workspace that the key acts for.")
    ] = None,
    operator: Annotated[bool, Parameter(negative="", show_default=False, help="It acts for all workspaces.")] = False,
    scope: Annotated[Scope, Parameter(help="What it may do. Admin includes send, and send read.")] = "send",
    name: Name = "",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    Example: `HOMING_API_TOKEN=$(homing keys create --workspace 1 --scope send --name shop)`

    The first key of a new installation: `homing keys create --operator --scope admin`
    """
    if operator == (workspace is not None):
        raise CannotStart("Say whom the key is for: --workspace 1 for one workspace, or --operator for all of them")
    made = source(may_create=True).create_key(workspace=workspace, scope=scope, name=name)
    if as_json:
        print_json(made)
        return
    print(made["key"])
    note(f"This is key {made['id']}, shown this once. A gateway that runs already takes it within 5 s.")


@app.command
def revoke(
    key: Annotated[str, Parameter(name="ID", help="The key's id, as `homing keys` lists it.")],
    /,
    *,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: at once through a gateway, within 5 s straight through the database.

    Example: `homing keys revoke 1f2e3d4c5b6a`
    """
    source().revoke_key(key)
    if as_json:
        print_json({"revoked": key})
    else:
        print(f"Key {key} is revoked.")

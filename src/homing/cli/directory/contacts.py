"""`homing contacts`: the people whom a workspace writes to."""

from typing import Annotated

from cyclopts import App, Parameter

from homing.cli.sources.source import source
from homing.cli.terminal.options import After, AsJson, Limit, Name, Workspace
from homing.cli.terminal.output import Columns, moment, print_facts, print_json, print_page

app = App(name="contacts", help="Contacts: the people whom a workspace writes to.")

_COLUMNS: Columns = {
    "phone": "phone",
    "name": "name",
    "workspace": "workspace_id",
    "created": moment("created_at"),
    "uuid": "uuid",
}


@app.default
@app.command(name="list")
def list_contacts(*, workspace: Workspace = None, after: After = 0, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List contacts, with the uuid that a send names them by.

    Example: `homing contacts list --workspace 1`
    """
    page = source().get("/contacts", workspace_id=workspace, after=after, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_page(_COLUMNS, page, none="There are no such contacts.")


@app.command
def create(
    phone: Annotated[str, Parameter(help="The number, as people write it: 0816108641 or +62811801641.")],
    /,
    *,
    workspace: Workspace = None,
    name: Name = "",
    uuid: Annotated[str | None, Parameter(help="The uuid it is to have. [default: a new one]")] = None,
    id: Annotated[int | None, Parameter(help="The number it is to have. [default: the next one]")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a contact. With `--uuid` it is found by the name that another system has for it.

    Example: `homing contacts create +62811801641 --workspace 1 --name "Budi"`
    """
    body = {"phone": phone, "name": name, "workspace_id": workspace}
    given = {name: value for name, value in (("uuid", uuid), ("id", id)) if value is not None}
    made = source().post("/contacts", body | given)
    if as_json:
        print_json(made)
    else:
        print_facts({"uuid": made["uuid"], "phone": made["phone"], "workspace": made["workspace_id"]})

"""`homing workspaces`: the tenants, and how their phone numbers are read."""

from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.sources.client import path
from homing.cli.sources.source import source
from homing.cli.terminal.amounts import rate
from homing.cli.terminal.options import AsJson, Bare, DeafPolicyOption, RateOption, deaf_policy_given
from homing.cli.terminal.output import Columns, moment, note, print_facts, print_json, print_rows, rate_shown
from homing.cli.terminal.stops import CannotStart

app = App(name="workspaces", help="Workspaces: the tenants, and how their phone numbers are read.")

_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "region": "region",
    "bare digits": "bare_digits",
    "rate limit": rate_shown,
    "created": moment("created_at"),
}
Ref = Annotated[int, Parameter(name="ID", validator=Number(gte=1), help="The workspace's number.")]


@app.default
@app.command(name="list")
def list_workspaces(*, as_json: AsJson = False) -> None:
    """List workspaces. One comes to exist with its first account, contact or key.

    Example: `homing workspaces`
    """
    page = source().get("/workspaces")
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="There are no workspaces yet.")


@app.command
def show(workspace: Ref, /, *, as_json: AsJson = False) -> None:
    """Show one workspace.

    Example: `homing workspaces show 1`
    """
    _print(source().get(path("workspaces", workspace)), as_json=as_json)


@app.command(name="set")
def set_workspace(
    workspace: Ref,
    /,
    *,
    region: Annotated[
        str | None, Parameter(help="Where its national numbers belong (ISO 3166): `0816…` in ID, `(201) …` in US.")
    ] = None,
    bare: Annotated[Bare | None, Parameter(help="What digits mean that name no country code.")] = None,
    name: Annotated[str | None, Parameter(help="A name for people to read.")] = None,
    rate_limit: RateOption = None,
    deaf_policy: DeafPolicyOption = None,
    as_json: AsJson = False,
) -> None:
    """Say how a workspace's numbers are read from now on, and how often all of its keys together may ask.

    Numbers that were read before stay as they are. A limit is an operator's to set; `none` takes it away.

    A number with `+` or `00` is read everywhere alike, and one with a trunk zero or with its area code in brackets
    belongs to the region. Of other digits, `--bare strict` takes the only valid reading and refuses those that have
    two; `national` and `international` are for data that is all of one kind: a tenth of all US numbers without
    punctuation could be another country's too.

    Example: `homing workspaces set 1 --region BR --bare national`
    """
    given: dict[str, Any] = {"region": region, "bare_digits": bare, "name": name}
    changes = {field: value for field, value in given.items() if value is not None}
    if rate_limit is not None:
        changes["rate_limit"] = rate(rate_limit)
    changes |= deaf_policy_given(deaf_policy)
    if not changes:
        raise CannotStart("Say what to set: --region, --bare, --name, --rate-limit or --deaf-policy")
    _print(source().patch(path("workspaces", workspace), changes), as_json=as_json)
    if not as_json:
        note("A running gateway does so within 5 s.")


def _print(workspace: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(workspace)
        return
    print_facts(
        {
            "workspace": workspace["id"],
            "name": workspace["name"],
            "region": workspace["region"],
            "bare digits": workspace["bare_digits"],
            "rate limit": rate_shown(workspace),
            **({"if one is deaf": workspace["deaf_policy"]} if workspace.get("deaf_policy") else {}),
        }
    )

"""`homing keys`: who may call the API."""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.sources.client import Document, path
from homing.cli.sources.source import source
from homing.cli.terminal import amounts
from homing.cli.terminal.options import AsJson, Name, RateOption, Scope
from homing.cli.terminal.output import Columns, instant, moment, note, print_json, print_rows, rate_shown
from homing.cli.terminal.stops import CannotStart

app = App(name="keys", help="API keys: who may call the API, for which workspace, and how far.")

Ref = Annotated[str, Parameter(name="ID", help="The key's id, as `homing keys` lists it.")]
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "scope": "scope",
    "workspace": lambda row: row["workspace_id"] if row["workspace_id"] is not None else "all (operator)",
    "created": moment("created_at"),
    "expires": lambda row: instant(row.get("expires_at")) + (" (over)" if row.get("expired") else ""),
    "last used": moment("last_used_at"),
    "rate limit": rate_shown,
}


@app.default
@app.command(name="list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List the keys that are not revoked. Their secrets are not stored anywhere.

    `last used` is up to a minute old.

    Example: `homing keys`
    """
    page = source().get("/keys")
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
    expires: Annotated[str | None, Parameter(help="Until when: 90d, 2027-01-31. [default: for ever]")] = None,
    rate_limit: RateOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    Example: `HOMING_API_TOKEN=$(homing keys create --workspace 1 --scope send --name shop)`

    The first key of a new installation: `homing keys create --operator --scope admin`
    """
    if operator == (workspace is not None):
        raise CannotStart("Say whom the key is for: --workspace 1 for one workspace, or --operator for all of them")
    body = {"name": name, "scope": scope, "workspace_id": workspace}
    ends = _written(amounts.moment(expires)) if expires is not None else None
    often = amounts.rate(rate_limit) if rate_limit is not None else None
    given = {field: value for field, value in (("expires_at", ends), ("rate_limit", often)) if value is not None}
    _print_once(source(may_create=True).post("/keys", body | given), as_json=as_json)


@app.command(name="set")
def set_key(
    key: Ref,
    /,
    *,
    name: Annotated[str | None, Parameter(help="A name for people to read.")] = None,
    expires: Annotated[str | None, Parameter(help="Until when: 90d, 2027-01-31; none: for ever.")] = None,
    rate_limit: RateOption = None,
    as_json: AsJson = False,
) -> None:
    """Change a key's name, its end, or how often it may ask. What is not given stays.

    Example: `homing keys set 1f2e3d4c5b6a --expires 30d --rate-limit 600/min`
    """
    changes: dict[str, Any] = {"name": name} if name is not None else {}
    changes |= {"expires_at": _written(amounts.moment(expires))} if expires is not None else {}
    changes |= {"rate_limit": amounts.rate(rate_limit)} if rate_limit is not None else {}
    if not changes:
        raise CannotStart("Say what to set: --name, --expires or --rate-limit")
    changed = source().patch(path("keys", key), changes)
    if as_json:
        print_json(changed)
    else:
        print_rows(_COLUMNS, [changed], none="")


@app.command
def rotate(
    key: Ref,
    /,
    *,
    overlap: Annotated[str, Parameter(help="How long the secret before opens too: 24h, 30m, 0s.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret and print it, this once. The one that it had opens for a while yet: nothing fails.

    Its id, its workspace and what it may do stay. A secret that was rotated out before ends now.

    Example: `HOMING_API_TOKEN=$(homing keys rotate 1f2e3d4c5b6a --overlap 24h)`
    """
    _print_once(source().post(path("keys", key, "rotate"), {"overlap_s": amounts.seconds(overlap)}), as_json=as_json)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _print_once(made: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print(made["key"])
    note(f"This is key {made['id']}, shown this once. A gateway that runs already takes it within 5 s.")


@app.command
def revoke(key: Ref, /, *, as_json: AsJson = False) -> None:
    """Revoke a key: at once through a gateway, within 5 s straight through the database.

    Example: `homing keys revoke 1f2e3d4c5b6a`
    """
    source().delete(path("keys", key))
    if as_json:
        print_json({"revoked": key})
    else:
        print(f"Key {key} is revoked.")

"""`homing accounts`: the phone identities, and the life of their sessions."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from homing.cli.gateway import path
from homing.cli.options import AccountRef, After, AsJson, Limit, Name, Status, Takeover, Workspace
from homing.cli.output import Columns, Row, instant, moment, print_facts, print_json, print_page
from homing.cli.source import gateway, source

app = App(name="accounts", help="Accounts: who they are, where their sessions live, starting and stopping them.")

_COLUMNS: Columns = {
    "id": "id",
    "phone": "phone",
    "name": "name",
    "workspace": "workspace_id",
    "instance": "instance_url",
    "epoch": "epoch",
    "status": "status",
    "verified": moment("last_verified_at"),
    "uuid": "uuid",
}


@app.default
@app.command(name="list")
def list_accounts(
    *,
    workspace: Workspace = None,
    instance: Annotated[str | None, Parameter(help="Only those placed on this address.")] = None,
    status: Annotated[Status | None, Parameter(help="Only those whose session is so.")] = None,
    after: After = 0,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List accounts, with the instance that each session lives on.

    Example: `homing accounts list --instance http://localhost:3002 --status connected`
    """
    page = source().accounts(workspace=workspace, instance_url=instance, status=status, after=after, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_page(_COLUMNS, page, none="There are no such accounts.")


@app.command
def show(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Show one account: where its session lives, under which epoch, and how it is.

    Example: `homing accounts show 144`
    """
    _show(source().account(account), as_json=as_json)


@app.command
def create(
    phone: Annotated[str, Parameter(help="Its number, as people write it: 0816108641 or +62811801641.")],
    /,
    *,
    workspace: Workspace = None,
    name: Name = "",
    takeover: Annotated[
        Takeover | None, Parameter(help="Who may start it elsewhere once its instance is lost. [default: auto]")
    ] = None,
    start: Annotated[bool, Parameter(negative="--no-start", help="Open its session at once.")] = True,
    as_json: AsJson = False,
) -> None:
    """Create an account and open its session on the least loaded healthy instance. Then link it: `homing accounts qr`.

    Example: `homing accounts create +62811801641 --workspace 1 --name "Shop"`
    """
    body = {"phone": phone, "name": name, "workspace_id": workspace, "takeover": takeover, "start": start}
    _show(gateway("Creating an account").post("/accounts", body, slow=True), as_json=as_json)


@app.command
def start(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Open the account's session where it is placed. Takes up to 60 s.

    Example: `homing accounts start 144`
    """
    _act("start", account, as_json=as_json)


@app.command
def stop(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Close the account's session and keep its login, so that starting it again needs no pairing.

    Example: `homing accounts stop 144`
    """
    _act("stop", account, as_json=as_json)


@app.command
def restart(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Close and open the account's session where it is. Takes up to 60 s.

    Example: `homing accounts restart 144`
    """
    _act("restart", account, as_json=as_json)


@app.command
def logout(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """End the link with WhatsApp. Afterwards only pairing anew helps.

    Example: `homing accounts logout 144`
    """
    _act("logout", account, as_json=as_json)


@app.command
def qr(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Show the code that links the account's phone, and for how many seconds it is good.

    Example: `homing accounts qr 144`
    """
    code = gateway("Pairing").get(path("accounts", account, "qr"))
    if as_json:
        print_json(code)
    else:
        print_facts({"QR text": code.get("qr"), "code": code.get("code"), "good for (s)": code.get("expires_in")})


def _act(verb: str, account: str, *, as_json: bool) -> None:
    made = gateway(f"`homing accounts {verb}`").post(path("accounts", account, verb), slow=True)
    _show(made, as_json=as_json)


def _show(account: Row, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        print_facts(_facts(account))


def _facts(account: Row) -> dict[str, Any]:
    return {
        "id": account["id"],
        "uuid": account["uuid"],
        "phone": account["phone"],
        "name": account["name"],
        "workspace": account["workspace_id"],
        "session": account["session_id"],
        "instance_url": account["instance_url"],
        "epoch": account["epoch"],
        "status": account["status"],
        "last verified": instant(account["last_verified_at"]),
        "takeover": account["takeover"],
        "created": instant(account["created_at"]),
    }

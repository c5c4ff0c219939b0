"""`homing outbox`: messages that were accepted, and what can be done with them."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AccountRef, AsJson, Limit, Workspace
from homing.cli.terminal.output import Columns, moment, note, print_facts, print_json, print_rows

app = App(name="outbox", help="The outbox: messages that were accepted, in turn, with where each stands.")

State = Literal[
    "accepted", "held", "dispatching", "sent", "delivered", "read", "failed", "unknown", "expired", "cancelled"
]
Uuid = Annotated[str, Parameter(help="The message's uuid.")]
_COLUMNS: Columns = {
    "state": "state",
    "accepted": moment("created_at"),
    "to": "phone",
    "why": "reason",
    "uuid": "uuid",
}


@app.default
@app.command(name="list")
def list_messages(
    *,
    account: Annotated[str | None, Parameter(help="Of this account, by its number, uuid or session.")] = None,
    state: Annotated[State | None, Parameter(help="In this state.")] = None,
    batch: Annotated[str | None, Parameter(help="Of this batch.")] = None,
    workspace: Workspace = None,
    before: Annotated[str | None, Parameter(help="Go on behind this uuid, which the page before named.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List messages, newest first: those of the outbox, and sends that did not simply succeed.

    Example: `homing outbox list --account 144 --state unknown`
    """
    asked: dict[str, Any] = {"account": account, "state": state, "batch_id": batch, "before": before}
    asked["workspace_id"] = workspace
    page = gateway("`homing outbox`").get("/messages", limit=limit, **asked)
    if as_json:
        print_json(page)
        return
    print_rows(_COLUMNS, page["data"], none="There are no such messages.")
    if page["next"] is not None:
        note(f"More: --before {page['next']}")


@app.command
def show(uuid: Uuid, /, *, as_json: AsJson = False) -> None:
    """Show one message, and why it is where it is.

    Example: `homing outbox show 019a2c48-e752-76f8-8529-488653394ff5`
    """
    _print(gateway("`homing outbox`").get(path("messages", uuid)), as_json=as_json)


@app.command
def cancel(uuid: Uuid, /, *, as_json: AsJson = False) -> None:
    """Take back a message that has not left.

    Example: `homing outbox cancel 019a2c48-e752-76f8-8529-488653394ff5`

    Exit codes: 0 taken back; 1 it left already.
    """
    _print(gateway("`homing outbox`").post(path("messages", uuid, "cancel"), {}), as_json=as_json)


@app.command
def settle(
    uuid: Uuid,
    action: Annotated[
        Literal["resend", "mark_sent", "mark_failed"],
        Parameter(help="What is known: it was sent, it failed; or it is to be sent again, out of order."),
    ],
    /,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what became of a message whose outcome is unknown.

    Example: `homing outbox settle 019a2c48-e752-76f8-8529-488653394ff5 mark_sent`
    """
    _print(gateway("`homing outbox`").post(path("messages", uuid, "settle"), {"action": action}), as_json=as_json)


@app.command
def go(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Send what was held back after the account was paired anew.

    Example: `homing outbox go 144`
    """
    went = gateway("`homing outbox`").post(path("accounts", account, "outbox", "go"), {})
    if as_json:
        print_json(went)
    else:
        note(f"{went['messages']} messages go now.")


def _print(message: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(message)
        return
    names = ("uuid", "state", "code", "reason", "attempts", "phone", "message", "message_id", "instance_url",
             "created_at", "updated_at", "send_at", "expires_at", "batch_id")  # fmt: skip
    print_facts({name.replace("_", " "): message.get(name) for name in names if message.get(name) is not None})

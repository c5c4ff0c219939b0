"""`homing alerts`: what a person should look at, who is told of it, and what is silenced."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal import amounts
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import Columns, moment, note, print_json, print_rows
from homing.cli.terminal.stops import CannotStart

app = App(name="alerts", help="Alerts: what a person should look at, who is told of it, and what is silenced.")
receivers = App(
    name="receivers", help="Who is told of alerts: webhooks, Slack's form, Alertmanager, e-mail, a heartbeat."
)
app.command(receivers)

ReceiverRef = Annotated[str, Parameter(name="ID", help="The receiver's id, as `homing alerts receivers` lists it.")]
_COLUMNS: Columns = {
    "kind": "kind",
    "about": "about",
    "subject": "subject",
    "since": moment("since"),
    "reason": "reason",
    "do": "do",
}
_RECEIVERS: Columns = {
    "id": "id",
    "name": "name",
    "kind": "kind",
    "target": "target",
    "last told": moment("last_told_at"),
    "fails": "last_error",
}


@app.default
@app.command(name="list")
def list_alerts(*, as_json: AsJson = False) -> int:
    """List the alerts that stand, the oldest first. Exit 1 if there are any.

    Example: `homing alerts`
    """
    page = gateway("`homing alerts`").get("/alerts")
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="No alert stands.")
    return 1 if page["data"] else 0


@app.command
def silence(
    *,
    kind: Annotated[str | None, Parameter(help="One kind of alert, as `homing alerts` names it.")] = None,
    subject: Annotated[str, Parameter(help="One session or instance.")] = "",
    duration: Annotated[str, Parameter(name="--for", help="How long: 1h, 30m, 2d.")] = "1h",
    reason: Annotated[str, Parameter(help="Why, for the others.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell no receiver of some alerts for a while. They stand, and are shown, all the same.

    Example: `homing alerts silence --kind instance_gone --subject http://wa3:3001 --for 2h --reason upgrade`
    """
    body = {"kind": kind, "subject": subject, "for_s": amounts.seconds(duration), "reason": reason}
    made = gateway("`homing alerts`").post("/silences", body)
    if as_json:
        print_json(made)
    else:
        note(f"{made['id']} lasts until {made['until']}; end it with `homing alerts unsilence {made['id']}`.")


@app.command
def silences(*, as_json: AsJson = False) -> None:
    """List the silences that last.

    Example: `homing alerts silences`
    """
    page = gateway("`homing alerts`").get("/silences")
    columns: Columns = {"id": "id", "kind": "kind", "subject": "subject", "until": moment("until"), "reason": "reason"}
    if as_json:
        print_json(page)
    else:
        print_rows(columns, page["data"], none="Nothing is silenced.")


@app.command
def unsilence(named: Annotated[str, Parameter(name="ID", help="The silence's id.")], /) -> None:
    """End a silence.

    Example: `homing alerts unsilence si_0a1b2c3d4e5f`
    """
    gateway("`homing alerts`").delete(path("silences", named))
    note(f"{named} has ended.")


@receivers.default
@receivers.command(name="list")
def list_receivers(*, as_json: AsJson = False) -> None:
    """List who is told of alerts, and how that goes.

    Example: `homing alerts receivers`
    """
    page = gateway("`homing alerts`").get("/receivers")
    if as_json:
        print_json(page)
    else:
        print_rows(_RECEIVERS, page["data"], none="Nobody is told; `homing alerts receivers add NAME slack URL`.")


@receivers.command
def add(
    name: Annotated[str, Parameter(name="NAME", help="For people to read.")],
    kind: Annotated[Literal["webhook", "slack", "alertmanager", "email", "heartbeat"], Parameter(name="KIND")],
    target: Annotated[str, Parameter(name="TARGET", help="A URL, or addresses with commas.")],
    /,
    *,
    server: Annotated[str | None, Parameter(help="E-mail: where it is handed in, host:port.")] = None,
    sender: Annotated[str | None, Parameter(name="--from", help="E-mail: whom it is from.")] = None,
    user: Annotated[str | None, Parameter(help="E-mail: who signs in.")] = None,
    tls: Annotated[Literal["starttls", "implicit", "none"], Parameter(help="E-mail: how it is secured.")] = "starttls",
    password_file: Annotated[str | None, Parameter(help="E-mail: a file with the password.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell somebody of alerts from now on, of those that stand too.

    Example: `homing alerts receivers add ops slack https://hooks.slack.com/services/T0/B0/x`

    By mail: `homing alerts receivers add us email a@example.com --server mail:587 --from homing@example.com`
    """
    body: dict[str, Any] = {"name": name, "kind": kind, "target": target}
    if kind == "email":
        host, _, port = (server or "").partition(":")
        if port and not port.isdecimal():
            raise CannotStart(f"{server!r} is no mail server; write it as mail.example.com:587")
        given = {"server": host, "port": int(port or 587), "from": sender or "", "user": user or "", "tls": tls}
        body["options"] = {name: value for name, value in given.items() if value != ""}
    if password_file is not None:
        body["secret"] = _first_line(password_file)
    made = gateway("`homing alerts`").post("/receivers", body)
    if as_json:
        print_json(made)
    else:
        note(f"{made['id']} is told from now on.")
        if "secret" in made:
            print(made["secret"])


def _first_line(file: str) -> str:
    """Raises CannotStart for what is not there, or is no text."""
    from pathlib import Path

    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{file} cannot be read: {error}") from error


@receivers.command
def test(receiver: ReceiverRef, /) -> int:
    """Tell a receiver that this is a trial. Exit 1 if it was not taken.

    Example: `homing alerts receivers test rc_0a1b2c3d`
    """
    tried = gateway("`homing alerts`").post(path("receivers", receiver, "test"))
    note(f"{'Taken' if tried['taken'] else 'Not taken'}: {tried['reason']}")
    return 0 if tried["taken"] else 1


@receivers.command
def remove(receiver: ReceiverRef, /) -> None:
    """Tell a receiver nothing more.

    Example: `homing alerts receivers remove rc_0a1b2c3d`
    """
    gateway("`homing alerts`").delete(path("receivers", receiver))
    note(f"{receiver} is told nothing more.")

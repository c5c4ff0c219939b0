"""`homing endpoints` and `homing deliveries`: where a workspace's events are told, and how that goes."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal import amounts
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import Columns, instant, moment, note, print_json, print_rows
from homing.cli.terminal.stops import CannotStart

app = App(name="endpoints", help="Webhook endpoints: where a workspace's events are told, signed and tried for days.")

EndpointRef = Annotated[str, Parameter(name="ID", help="The endpoint's id, as `homing endpoints` lists it.")]
EventFilter = Annotated[
    str | None, Parameter(help="What it is told: message.received,session.* with commas. [default: everything]")
]
_COLUMNS: Columns = {
    "id": "id",
    "workspace": "workspace_id",
    "url": "url",
    "events": lambda row: ", ".join(row["events"]) or "all",
    "state": lambda row: row["state"] + (f": {row['state_reason']}" if row["state_reason"] else ""),
    "waiting": "pending",
    "dead": "dead",
    "failures": "failures",
    "last success": moment("last_success_at"),
}
_DELIVERIES: Columns = {
    "id": "id",
    "event": "type",
    "state": "state",
    "attempts": "attempts",
    "status": lambda row: row["status"] if row["status"] is not None else "",
    "reason": "reason",
    "created": moment("created_at"),
    "next": lambda row: instant(row.get("due_at")),
    "webhook-id": "event_id",
}


_ATTEMPTS: Columns = {
    "attempt": "number",
    "at": moment("at"),
    "took (ms)": "latency_ms",
    "status": lambda row: row["status"] if row["status"] is not None else "",
    "reason": "reason",
    "answered": "body",
}


@app.default
@app.command(name="list")
def list_endpoints(
    *,
    workspace: Annotated[int | None, Parameter(validator=Number(gte=1), help="One workspace's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the endpoints, with what waits for each.

    Example: `homing endpoints`
    """
    page = gateway("`homing endpoints`").get("/endpoints", workspace_id=workspace, limit=500)
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="There are no endpoints; make one with `homing endpoints create URL`.")


@app.command
def create(
    url: Annotated[str, Parameter(name="URL", help="Where events are posted: a public address.")],
    /,
    *,
    workspace: Annotated[int | None, Parameter(validator=Number(gte=1), help="Whose events it is told.")] = None,
    events: EventFilter = None,
    name: Annotated[str, Parameter(help="A name for people to read.")] = "",
    schedule: Annotated[
        Literal["standard", "short"], Parameter(help="Tried for three days, or after 1, 2, 4 and 8 s.")
    ] = "standard",
    ordered: Annotated[bool, Parameter(negative="", help="Within a chat one delivery at a time, in order.")] = False,
    rate: Annotated[int | None, Parameter(validator=Number(gte=1), help="So many deliveries a second at most.")] = None,
    concurrency: Annotated[int, Parameter(validator=Number(gte=1, lte=64), help="So many at once at most.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Make an endpoint and print its secret, this once: deliveries are signed with it.

    Example: `homing endpoints create https://crm.example.com/hooks --workspace 1 --events 'message.*' --ordered`
    """
    body = {
        "url": url,
        "workspace_id": workspace,
        "events": _listed(events),
        "name": name,
        "schedule": schedule,
        "ordered": ordered,
        "rate_per_s": rate,
        "concurrency": concurrency,
    }
    _print_once(gateway("`homing endpoints`").post("/endpoints", body), as_json=as_json)


@app.command(name="set")
def set_endpoint(
    endpoint: EndpointRef,
    /,
    *,
    url: Annotated[str | None, Parameter(help="Where events are posted from now on.")] = None,
    events: EventFilter = None,
    enable: Annotated[bool | None, Parameter(negative="--disable", help="Tell it again, or nothing more.")] = None,
    ordered: Annotated[bool | None, Parameter(negative="--unordered", help="Keep the order within a chat.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change an endpoint. What is not given stays.

    Example: `homing endpoints set ep_0a1b2c3d --enable`
    """
    given = {"url": url, "enabled": enable, "ordered": ordered, "events": None if events is None else _listed(events)}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise CannotStart("Say what to set: --url, --events, --enable, --disable, --ordered or --unordered")
    changed = gateway("`homing endpoints`").patch(path("endpoints", endpoint), changes)
    if as_json:
        print_json(changed)
    else:
        print_rows(_COLUMNS, [changed], none="")


@app.command
def rotate(
    endpoint: EndpointRef,
    /,
    *,
    overlap: Annotated[str, Parameter(help="How long the secret before signs too: 24h, 30m, 0s.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Give an endpoint a new secret and print it, this once. Deliveries carry both signatures for a while.

    Example: `homing endpoints rotate ep_0a1b2c3d --overlap 24h`
    """
    body = {"overlap_s": amounts.seconds(overlap)}
    _print_once(gateway("`homing endpoints`").post(path("endpoints", endpoint, "rotate"), body), as_json=as_json)


@app.command
def test(endpoint: EndpointRef, /, *, as_json: AsJson = False) -> int:
    """Call an endpoint now, with an event that says that it is a trial. Exit 1 if it was not taken.

    Example: `homing endpoints test ep_0a1b2c3d`
    """
    tried = gateway("`homing endpoints`").post(path("endpoints", endpoint, "test"))
    if as_json:
        print_json(tried)
    else:
        note(f"{'Taken' if tried['delivered'] else 'Not taken'} in {tried['latency_ms']} ms: {tried['reason']}")
    return 0 if tried["delivered"] else 1


@app.command
def replay(
    endpoint: EndpointRef,
    /,
    *,
    since: Annotated[str | None, Parameter(help="From when on: 2026-11-30T08:00.")] = None,
    until: Annotated[str | None, Parameter(help="Until when. [default: now]")] = None,
    dead: Annotated[bool, Parameter(negative="", help="Only what was given up.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell an endpoint events once more, under the ids that they had.

    Example: `homing endpoints replay ep_0a1b2c3d --dead`
    """
    if since is None and not dead:
        raise CannotStart("Say what to tell again: --since 2026-11-30T08:00, or --dead for all that was given up")
    given = {"endpoint_id": endpoint, "since": since, "until": until, "state": "dead" if dead else None}
    body = {name: value for name, value in given.items() if value is not None}
    done = gateway("`homing endpoints`").post("/deliveries/replay", body, slow=True)
    if as_json:
        print_json(done)
    else:
        note(f"{done['replayed']} deliveries are made once more.")


@app.command
def attempts(
    delivery: Annotated[int, Parameter(name="DELIVERY", help="Its number, as `homing deliveries` lists it.")],
    /,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how often a delivery was tried, and what was answered.

    Example: `homing endpoints attempts 812`
    """
    shown = gateway("`homing endpoints`").get(path("deliveries", str(delivery)))
    if as_json:
        print_json(shown)
        return
    print_rows(_ATTEMPTS, shown["log"], none="It was not tried yet.")
    note(f"{shown['type']} ({shown['event_id']}) is {shown['state']}: {shown['reason']}")


@app.command
def delete(endpoint: EndpointRef, /) -> None:
    """Delete an endpoint, with its deliveries.

    Example: `homing endpoints delete ep_0a1b2c3d`
    """
    gateway("`homing endpoints`").delete(path("endpoints", endpoint))
    note(f"{endpoint} is told nothing more.")


def deliveries(
    *,
    endpoint: Annotated[str | None, Parameter(help="One endpoint's.")] = None,
    state: Annotated[Literal["pending", "delivered", "dead"] | None, Parameter(help="How they stand.")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=500), help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List deliveries to webhook endpoints, the newest first.

    Example: `homing deliveries --state dead`
    """
    page = gateway("`homing endpoints`").get("/deliveries", endpoint_id=endpoint, state=state, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_rows(_DELIVERIES, page["data"], none="There are no such deliveries.")


def _listed(events: str | None) -> list[str]:
    return [each.strip() for each in (events or "").split(",") if each.strip()]


def _print_once(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print(made["secret"])
    note(f"This is the secret of {made['id']}; it is shown this once. How to check signatures: docs/webhooks.md")

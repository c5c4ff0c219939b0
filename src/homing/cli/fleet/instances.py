"""`homing instances`, `homing distribution` and `homing moves`: the fleet, what it carries, what went where."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.sources.client import path
from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway, source
from homing.cli.terminal.options import AccountRef, After, AsJson, InstanceRef, Kind, Labels, Limit, Name, labels
from homing.cli.terminal.output import (
    Columns,
    Row,
    attention,
    moment,
    note,
    print_facts,
    print_json,
    print_page,
    print_rows,
)
from homing.cli.terminal.stops import CannotStart, NeedsAttention, problem

instances = App(name="instances", help="Instances: the gateways that hold the sessions.")


def _lease(row: Row) -> str:
    lease = row.get("lease")
    if lease is None:
        return "-"
    return str(lease["ended"]) if lease["ended"] else f"held {lease['left_s']:.1f} s" if lease["held"] else "lapsed"


def _load(row: Row) -> str:
    return f"{row['sessions']} of {row['capacity']}" if row["capacity"] is not None else str(row["sessions"])


def _sends(row: Row) -> str:
    """Measured, forecast, and what it can take, in sends a second; what is not known is left out."""
    told = (row.get("sends_per_s"), row.get("forecast_sends_per_s"), row.get("sends_limit_per_s"))
    now, soon, limit = ("-" if each is None else f"{each:.1f}" for each in told)
    return f"{now} → {soon}" + ("" if limit == "-" else f" of {limit}")


def _memory(row: Row) -> str:
    used, limit = row.get("memory_used_mb"), row.get("memory_limit_mb")
    return ("-" if used is None else f"{used:.0f}") + ("" if limit is None else f" of {limit:.0f}")


def _why(row: Row) -> str:
    """What is worth knowing: how far its emptying is, else why it is judged so."""
    draining = row.get("draining")
    if draining is not None:
        return f"{draining['remaining']} to leave, {draining['stuck']} of them stuck"
    return str(row.get("reason") or row["detail"])


_INSTANCES: Columns = {
    "id": "id",
    "url": "url",
    "driver": lambda row: f"{row['driver']} {row.get('version') or ''}".strip(),
    "mode": "mode",
    "state": "state",
    "health": lambda row: row.get("health") or "-",
    "lease": _lease,
    "sessions": _load,
    "connected": "connected",
    "strays": lambda row: row.get("strays"),
    "sends/s": _sends,
    "MB": _memory,
    "attention": attention,
    "why": _why,
}


@instances.default
@instances.command(name="list")
def list_instances(*, as_json: AsJson = False) -> None:
    """List the instances: how each is judged, its lease, and its load against what it can take.

    `sends/s` is measured → forecast. Through a gateway, each is asked for its health (1 s at most).

    Example: `homing instances`
    """
    page = source().get("/instances")
    if as_json:
        print_json(page)
        return
    print_page(_INSTANCES, page, none="There are no instances; add one with `homing instances add`.")
    brake = page.get("brake")
    if brake is not None and brake["engaged"]:
        note(f"The brake is on, nothing is moved: {brake['reason']}")
    for sender in page.get("unknown_senders", []):
        note(f"Unknown sender {sender['named']} ({sender['reports']} reports): {sender['do']}")


@instances.command
def add(
    url: Annotated[str, Parameter(help="Its base address: http://host:3001.")],
    /,
    *,
    driver: Annotated[
        str | None, Parameter(help="The gateway family that it is. [default: the one that answers there]")
    ] = None,
    name: Name = "",
    capacity: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="Sessions at most. [default: no limit]")
    ] = None,
    label: Labels = None,
    force: Annotated[
        bool, Parameter(negative="", show_default=False, help="Whatever answers there, or refuses our key.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let an instance join the fleet. Needs an operator's key.

    The gateway asks first what answers there, and takes the driver of that family: what is another one than
    `--driver` says, no gateway, or refuses our key is named and not added. What does not answer yet is added. A process
    of the Node service on another host calls itself localhost; the line that is printed for it, LARAVEL_URL=…/in/5,
    tells it from the others.

    Example: `homing instances add http://wa5.internal:3001 --capacity 200 --label rack=b`
    """
    body = {"url": url, "name": name, "capacity": capacity, "labels": labels(label or [])}
    body |= {"driver": driver} if driver is not None else {}
    made = gateway("Adding an instance").post("/instances", body | ({"force": True} if force else {}))
    if as_json:
        print_json(made)
        return
    print_facts(
        {
            "id": made["id"],
            "url": made["url"],
            "driver": made["driver"],
            "answers": made["healthy"],
            "detail": made["detail"],
        }
    )
    if made.get("report_to") is not None:
        print(f"LARAVEL_URL={made['report_to']}")
        note("A process of the Node service there needs this line in its environment.")
    if made.get("api_key") is not None:
        print(f"API_KEY={made['api_key']}")
        note(
            "This is its own key, shown once: it goes into the environment of its process (for `homing instance` as"
            " WHATSAPP_API_KEY). Until the process was started anew with it, it is not told its sessions."
        )
    if made.get("warning") is not None:
        note(f"Look at this: {made['warning']}")


@instances.command(name="set")
def set_limits(
    instance: InstanceRef,
    /,
    *,
    capacity: Annotated[int | None, Parameter(validator=Number(gte=0), help="Sessions at most; 0: no limit.")] = None,
    memory_mb: Annotated[float | None, Parameter(validator=Number(gte=0), help="MB at most; 0: no limit.")] = None,
    sends: Annotated[float | None, Parameter(validator=Number(gte=0), help="Sends/s at most; 0: no limit.")] = None,
    driver: Annotated[str | None, Parameter(help="The gateway family that it is.")] = None,
    name: Annotated[str | None, Parameter(help="A name for people to read.")] = None,
    mode: Annotated[
        Literal["observe", "route"] | None,
        Parameter(help="observe: look, and send, start and stop nothing there. route: do what its driver can."),
    ] = None,
    storage: Annotated[
        str | None,
        Parameter(help="What its sessions' logins lie on; instances with one name share it. Empty: its own disk."),
    ] = None,
    label: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Say what an instance can take, what may be done with it, and its labels, which replace those it had.

    What is not given stays. An observed instance is for a first look at a fleet that somebody else still runs: sends
    through it are 409 `instance_observed`, and nothing is placed on it.

    Example: `homing instances set 5 --capacity 200 --memory-mb 16000 --sends 40 --label region=sg`
    Example: `homing instances set http://wa1:3001 --mode route --storage nas-1`
    """
    asked = gateway("`homing instances set`")
    limits = {"capacity": capacity, "memory_limit_mb": memory_mb, "sends_limit_per_s": sends}
    changes: dict[str, Any] = {field: value or None for field, value in limits.items() if value is not None}
    changes |= {"driver": driver} if driver is not None else {}
    changes |= {"name": name} if name is not None else {}
    changes |= {"labels": labels(label)} if label is not None else {}
    changes |= {"mode": mode} if mode is not None else {}
    changes |= {"storage": storage or None} if storage is not None else {}
    if not changes:
        what = "--capacity, --memory-mb, --sends, --driver, --name, --mode, --storage or --label"
        raise CannotStart(f"Say what to change: {what}")
    changed = asked.patch(path("instances", number_of(asked, instance)), changes)
    if as_json:
        print_json(changed)
    else:
        print_page(_INSTANCES, {"data": [changed]}, none="")


@instances.command(name="connect-webhooks")
def connect_webhooks(
    instance: InstanceRef,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would be done.")] = False,
    replace: Annotated[
        bool, Parameter(negative="", help="Also where an address of somebody else's has to give way.")
    ] = False,
    undo: Annotated[bool, Parameter(negative="", help="Put back what was there before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have the sessions of a gateway of another family report to this one.

    Where its family has room for several addresses (WAHA), ours is one more. Where it has room for one, nothing is
    replaced unless `--replace` says so; what can be read is remembered, and `--undo` puts it back. What a gateway loses
    at its start is set again. Some are told in the environment of their process alone: then the line is printed.

    Example: `homing instances connect-webhooks http://waha1:3000 --dry-run`

    Exit codes: 0 done, or nothing is in the way; 1 a session was refused or failed, and why.
    """
    asked = gateway("`homing instances connect-webhooks`")
    where = path("instances", number_of(asked, instance), "connect-webhooks")
    told = asked.post(where, {"dry_run": dry_run, "replace": replace, "undo": undo}, slow=True)
    if as_json:
        print_json(told)
    else:
        _print_wired(told)
    if told["attention"]:
        raise NeedsAttention(f"{told['attention']} of {len(told['sessions'])} sessions do not report here")


_WIRED: Columns = {"session": "session_id", "report": "wiring", "why": "reason"}


def _print_wired(told: Row) -> None:
    if told["by_hand"] is not None:
        print(told["by_hand"])
        note(f"Gateways of the family {told['driver']} are not told over their API: this belongs to their environment.")
        return
    print_rows(_WIRED, told["sessions"], none=f"No session is placed on {told['instance_url']}.")
    if told["dry_run"]:
        note("Nothing was changed.")
    if told["warning"] is not None:
        note(f"Look at this: {told['warning']}")


@instances.command
def strays(instance: InstanceRef, /, *, as_json: AsJson = False) -> None:
    """Show the sessions that an instance lists and that are not placed on it, and how to take each up.

    `unknown`: no account has it; `same_phone`: no account has it, but one has its phone; `elsewhere`: its account is
    recorded on another instance. Nothing is done with them by itself. Needs an operator's key.

    Example: `homing instances strays http://wa2.internal:3001`
    """
    asked = gateway("`homing instances strays`")
    found = asked.get(path("instances", number_of(asked, instance), "strays"))
    if as_json:
        print_json(found)
        return
    print_rows(_STRAYS, found["data"], none=f"All that {found['instance_url']} lists is placed there.")
    for command in [row["adopt"] for row in found["data"] if row["adopt"]]:
        print(command)
    if (more := found["strays"] - len(found["data"])) > 0:
        note(f"{more} more are not named.")


_STRAYS: Columns = {
    "session": "session_id",
    "kind": "kind",
    "status": "status",
    "phone": "phone",
    "workspace": "workspace_id",
    "why": "reason",
}


@instances.command
def remove(instance: InstanceRef, /, *, as_json: AsJson = False) -> None:
    """Take an empty instance out of the fleet. Refused while sessions are placed on it. Needs an operator's key.

    Example: `homing instances remove 5`
    """
    asked = gateway("Removing an instance")
    number = number_of(asked, instance)
    asked.delete(path("instances", number))
    _done({"removed": number}, f"Instance {number} is removed.", as_json=as_json)


def distribution(*, as_json: AsJson = False) -> None:
    """Show how many connected sessions each instance holds, and which phones.

    Example: `homing distribution`
    """
    page = source().get("/distribution")
    if as_json:
        print_json(page)
        return
    columns: Columns = {"instance": "instance_url", "sessions": "session_count", "phones": "phones"}
    print_rows(columns, page["data"], none="There are no instances.")


def moves(
    *,
    account: Annotated[
        AccountRef | None, Parameter(help="Only those of this account, by number, uuid or session.")
    ] = None,
    session: Annotated[str | None, Parameter(help="Only those of this session.")] = None,
    kind: Annotated[Kind | None, Parameter(help="Only those of this kind.")] = None,
    after: After = 0,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show which session went where, when, why, what fenced the old holder, and how long each part took (ms).

    Newest first. A move without `took` is on its way, or was a correction of the record.

    Example: `homing moves --account 144`
    """
    page = source().get("/moves", account=account, session_id=session, kind=kind, after=after, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_page(_MOVES, page, none="Nothing has moved.")


_MOVES: Columns = {
    "id": "id",
    "at": moment("at"),
    "kind": "kind",
    "account": "account_id",
    "from": "from_url",
    "to": "to_url",
    "epoch": "epoch",
    "fence": "fence",
    "took": lambda row: "-" if row["duration_ms"] is None else f"{row['duration_ms'] / 1000:.2f} s",
    "steps": lambda row: ", ".join(f"{step} {ms}" for step, ms in row["steps"].items()),
    "why": "reason",
}


def number_of(asked: GatewayClient, instance: str) -> int:
    """An instance's number, by its number or its address."""
    from homing.model.urls import normal

    if instance.isdecimal():
        return int(instance)
    try:
        wanted = normal(instance)
    except ValueError as error:
        raise CannotStart(str(error)) from error
    known: list[Row] = asked.get("/instances")["data"]
    number = next((int(row["id"]) for row in known if row["url"] == wanted), None)
    if number is None:
        raise problem(404, "instance_not_found", f"There is no instance {wanted}")
    return number


def _done(document: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print(sentence)

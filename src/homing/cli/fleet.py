"""`homing instances`, `homing distribution` and `homing moves`: the fleet, what it carries, what went where."""

from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.gateway import Gateway, path
from homing.cli.options import AccountRef, After, AsJson, Kind, Limit, Name
from homing.cli.output import Columns, Row, moment, print_facts, print_json, print_page, print_rows
from homing.cli.source import gateway, source
from homing.cli.stops import CannotStart, problem

instances = App(name="instances", help="Instances: the gateways that hold the sessions.")

_INSTANCES: Columns = {
    "id": "id",
    "url": "url",
    "driver": "driver",
    "state": "state",
    "healthy": "healthy",
    "sessions": "sessions",
    "connected": "connected",
    "capacity": "capacity",
    "detail": "detail",
}


@instances.default
@instances.command(name="list")
def list_instances(*, as_json: AsJson = False) -> None:
    """List the instances with their load. Through a gateway, each is asked for its health (1 s at most).

    Example: `homing instances`
    """
    page = source().instances()
    if as_json:
        print_json(page)
    else:
        print_page(_INSTANCES, page, none="There are no instances; add one with `homing instances add`.")


@instances.command
def add(
    url: Annotated[str, Parameter(help="Its base address: http://host:3001.")],
    /,
    *,
    driver: Annotated[str, Parameter(help="The gateway family that it speaks as.")] = "webjs",
    name: Name = "",
    capacity: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="Sessions at most. [default: no limit]")
    ] = None,
    label: Annotated[list[str] | None, Parameter(negative="", help="NAME=VALUE, any number of times.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let an instance join the fleet. Needs an operator's key.

    Example: `homing instances add http://wa5.internal:3001 --capacity 200 --label rack=b`
    """
    body = {"url": url, "driver": driver, "name": name, "capacity": capacity, "labels": _labels(label or [])}
    made = gateway("Adding an instance").post("/instances", body)
    if as_json:
        print_json(made)
    else:
        print_facts({"id": made["id"], "url": made["url"], "answers": made["healthy"], "detail": made["detail"]})


@instances.command
def remove(
    instance: Annotated[str, Parameter(help="Its number or its address.")], /, *, as_json: AsJson = False
) -> None:
    """Take an empty instance out of the fleet. Refused while sessions are placed on it. Needs an operator's key.

    Example: `homing instances remove 5`
    """
    asked = gateway("Removing an instance")
    number = int(instance) if instance.isdecimal() else _number_of(asked, instance)
    asked.delete(path("instances", number))
    _done({"removed": number}, f"Instance {number} is removed.", as_json=as_json)


def distribution(*, as_json: AsJson = False) -> None:
    """Show how many connected sessions each instance holds, and which phones.

    Example: `homing distribution`
    """
    page = source().distribution()
    if as_json:
        print_json(page)
        return
    columns: Columns = {"instance": "instance_url", "sessions": "session_count", "phones": "phones"}
    print_rows(columns, page["data"], none="There are no instances.")


def moves(
    *,
    account: Annotated[AccountRef | None, Parameter(help="Only those of this account, by number or uuid.")] = None,
    session: Annotated[str | None, Parameter(help="Only those of this session.")] = None,
    kind: Annotated[Kind | None, Parameter(help="Only those of this kind.")] = None,
    after: After = 0,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show which session went where, when and why; newest first.

    Example: `homing moves --account 144`
    """
    page = source().moves(account=account, session_id=session, kind=kind, after=after, limit=limit)
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
    "why": "reason",
}


def _labels(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise CannotStart("A label is written NAME=VALUE, such as --label rack=b")
    return {name: value for name, _, value in pairs}


def _number_of(asked: Gateway, url: str) -> int:
    from homing.model.urls import normal

    try:
        wanted = normal(url)
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

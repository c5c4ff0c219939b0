"""`homing automation` and `homing plans`: whether the fleet looks after itself, and moves that people plan."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from homing.cli.sources.source import gateway, source
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import Columns, moment, note, print_json, print_rows

plans = App(name="plans", help="Plans of moves: a dry run first, then run a few sessions at a time.")


def automation(turn: Literal["on", "off"] | None = None, /, *, as_json: AsJson = False) -> None:
    """Show whether sessions are moved without anybody asking; turn that on or off, for all gateways.

    Off, sessions of an instance that is lost stay where they are until it is on again. People may move what they like.

    Example: `homing automation off`
    """
    if turn is None:
        told = source().get("/automation")
    else:
        told = gateway("turning automation on or off").ask("PUT", "/automation", {"on": turn == "on"}).document
    if as_json:
        print_json(told)
    else:
        by = f", by {told['by']}" if told["by"] else ""
        note(f"Automation is {'on' if told['on'] else 'off'}{by}{'' if told['allowed'] else ' (HOMING_AUTO_REHOME)'}.")


@plans.command(name="list")
def list_plans(*, as_json: AsJson = False) -> None:
    """Show the plans of moves, the newest first, and how far each is.

    Example: `homing plans list`
    """
    page = source().get("/plans")
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="Nothing is planned. Try: homing plans make")


@plans.command
def make(
    *,
    empty: Annotated[
        str | None, Parameter(help="The instance to empty, by its address; without it: spread evenly.")
    ] = None,
    budget: Annotated[int, Parameter(help="How many sessions may be on their way at a time.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Plan moves: what would move, in which order, and what is in the way. Nothing moves.

    Example: `homing plans make --empty http://wa3.internal:3001 --budget 2`
    """
    body: dict[str, Any] = {"kind": "rebalance" if empty is None else "empty", "budget": budget}
    _tell(gateway("planning moves").post("/plans", body | ({"instance_url": empty} if empty else {})), as_json)


@plans.command
def run(plan_id: str, /, *, budget: int | None = None, as_json: AsJson = False) -> None:
    """Run a plan, or go on with one that was stopped.

    Example: `homing plans run 3f9a1c22d0b84e77`
    """
    _tell(gateway("running a plan").post(f"/plans/{plan_id}/run", {"budget": budget}), as_json)


@plans.command
def stop(plan_id: str, /, *, as_json: AsJson = False) -> None:
    """Begin nothing more of a plan. What is on its way arrives.

    Example: `homing plans stop 3f9a1c22d0b84e77`
    """
    _tell(gateway("stopping a plan").post(f"/plans/{plan_id}/stop"), as_json)


def _tell(plan: Any, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    print_rows(_STEPS, plan["steps"], none="There is nothing to move.")
    for each in plan["stays"]:
        note(f"{each['phone']} stays: {each['reason']}")
    note(f"Plan {plan['id']} is {plan['state']}: {plan['moved']} of {plan['moves']} moved. {plan['reason']}")


_COLUMNS: Columns = {
    "plan": "id",
    "kind": "kind",
    "instance": lambda row: row["instance_url"] or "",
    "state": "state",
    "moved": lambda row: f"{row['moved']} of {row['moves']}",
    "stuck": "stuck",
    "by": "by",
    "made": moment("created_at"),
}
_STEPS: Columns = {
    "no.": "order",
    "phone": "phone",
    "from": "from_url",
    "to": lambda row: row["to_url"] or "where there is room",
    "gap": lambda row: f"{row['expected_gap_ms']} ms",
    "state": lambda row: row["state"].replace("_", " "),
    "why": lambda row: row["reason"] or row["why"],
}

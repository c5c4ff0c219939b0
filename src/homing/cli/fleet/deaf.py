"""`homing deaf`: sessions that say that they are connected, and are not well."""

from typing import Annotated

from cyclopts import Parameter

from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import Columns, instant, print_json, print_rows
from homing.cli.terminal.stops import NeedsAttention

_COLUMNS: Columns = {
    "account": "account_id",
    "phone": "phone",
    "instance": "instance_url",
    "is": "hearing",
    "since": "since_at",
    "why": "reason",
    "tried": lambda row: ", ".join(f"{each['rung']} ({each['result'] or 'under way'})" for each in row["tried"]) or "-",
    "next": lambda row: f"{row['next'] or 'nothing'}: {row['next_reason']}",
}


_HISTORY: Columns = {
    "began": lambda row: instant(row["began_at"]),
    "account": "account_id",
    "instance": "instance_url",
    "rung": "rung",
    "why": "reason",
    "came to": lambda row: row["result"] or "-",
}


def deaf(
    *,
    history: Annotated[
        bool, Parameter(negative="", help="What was tried in the last ninety days, the newest first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List connected sessions of which too little is heard: since when and why, what was tried, what is next.

    They are judged now, and nothing is tried by asking: what is next is what the gateway will do by itself, if
    anything. How far it may go says HOMING_DEAF_POLICY.

    Example: `homing deaf`

    Example: `homing deaf --history`

    Exit codes: 0 all sessions hear; 1 some are doubtful or deaf.
    """
    if history:
        told = gateway("`homing deaf --history`").get("/deaf/rungs?limit=500")
        if as_json:
            print_json(told)
        else:
            print_rows(_HISTORY, told["data"], none="Nothing was tried.")
        return
    found = gateway("`homing deaf`").get("/deaf")
    rows = found["data"]
    if as_json:
        print_json(found)
    else:
        print_rows(_COLUMNS, rows, none="All connected sessions hear.")
    if rows:
        raise NeedsAttention("Some sessions are doubtful or deaf.")

"""`homing schedule list`: what the gateways do by themselves."""

from typing import Any

from cyclopts import App

from homing.cli.sources.source import source
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import Columns, Row, moment, print_json, print_rows

app = App(name="schedule", help="What the gateways do by themselves, and when.")


@app.command(name="list")
def list_schedules(*, as_json: AsJson = False) -> None:
    """Show each schedule's expression (cron, UTC), its last run with the result, and the time to the next.

    Example: `homing schedule list`
    """
    page = source().get("/schedules")
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="No gateway has begun a schedule in this database yet.")


def _next(row: Row) -> str:
    left_s: Any = row["next_in_s"]
    return "off" if left_s is None else f"in {left_s // 60} min {left_s % 60} s"


_COLUMNS: Columns = {
    "name": "name",
    "expression": "expression",
    "last run": moment("last_run_at"),
    "result": lambda row: f"failed: {row['error']}" if row["error"] else row["result"],
    "runs": "runs",
    "failures": "failures",
    "next": _next,
}

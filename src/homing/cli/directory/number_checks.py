"""`homing accounts check-number`: which numbers are on WhatsApp."""

from typing import Annotated

from cyclopts import Parameter

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AccountRef, AsJson
from homing.cli.terminal.output import Columns, Row, print_json, print_rows
from homing.cli.terminal.stops import CannotStart, NeedsAttention

_IN_WORDS = {True: "yes", False: "no", None: "not known"}
_COLUMNS: Columns = {
    "written": "written",
    "phone": "phone",
    "on WhatsApp": lambda row: _IN_WORDS[row["exists"]],
    "address": "address",
    "why": "error",
}


def check_number(
    account: AccountRef,
    /,
    *phones: Annotated[str, Parameter(help="Numbers, as people write them; 100 at most.")],
    as_json: AsJson = False,
) -> None:
    """Ask the account's gateway which numbers are on WhatsApp, and under which address. Nobody hears of it.

    Answers are remembered for a day. Refused with `unsupported_check` where the gateway has no such call.

    Example: `homing accounts check-number 144 +5511987654321 +5215512345678`

    Exit codes: 0 each is answered; 1 of some it is not known.
    """
    if not phones:
        raise CannotStart("Name the numbers to ask about")
    asked = gateway("`homing accounts check-number`")
    said = asked.post(path("accounts", account, "check-number"), {"phones": list(phones)}, slow=True)
    rows: list[Row] = said["data"]
    if as_json:
        print_json(said)
    else:
        print_rows(_COLUMNS, rows, none="Nothing was asked about.")
    open_ones = sum(row["exists"] is None for row in rows)
    if open_ones:
        raise NeedsAttention(f"Of {open_ones} of {len(rows)} numbers it is not known")

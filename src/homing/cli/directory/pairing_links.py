"""`homing accounts pairing-link` and `homing pairing`: letting the owners of phones link them."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AccountRef, AsJson
from homing.cli.terminal.output import Columns, moment, note, print_json, print_rows

_COLUMNS: Columns = {
    "account": "account_id",
    "phone": "phone",
    "name": "name",
    "is": "status",
    "since": lambda row: moment(row["since_at"]),
    "waiting": "waiting",
    "instance": "instance_url",
}


def pairing_link(
    account: AccountRef,
    /,
    *,
    minutes: Annotated[int, Parameter(validator=Number(gte=1, lte=1_440), help="How long it opens.")] = 15,
    as_json: AsJson = False,
) -> None:
    """Make a link by which the phone's owner links it: no key, one browser, once. Earlier ones of the account end.

    It shows the code live and says when the phone is linked. It leads to HOMING_PUBLIC_URL.

    Example: `homing accounts pairing-link 144 --minutes 60`
    """
    made = gateway("Pairing").post(path("accounts", account, "pairing-link"), {"expires_in_s": minutes * 60})
    if as_json:
        print_json(made)
    else:
        print(made["url"])
        note(f"It opens once, until {moment(made['expires_at'])}.")


def pairing(*, as_json: AsJson = False) -> None:
    """List the sessions whose phones have to be linked, since when, and how many messages wait behind each.

    Example: `homing pairing`
    """
    found = gateway("`homing pairing`").get("/pairing")
    if as_json:
        print_json(found)
    else:
        print_rows(_COLUMNS, found["data"], none="No phone has to be linked.")

"""`homing cache`: the gateways' memory of where each session lives."""

from typing import Annotated

from cyclopts import App, Parameter

from homing.cli.sources.client import path
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import print_facts, print_json
from homing.cli.terminal.stops import CannotStart

app = App(name="cache", help="The route cache: how well it does, and making it forget.")


@app.default
@app.command
def stats(*, as_json: AsJson = False) -> None:
    """Show the cache of the gateway that answers: entries, hits, misses, and the SELECTs that misses caused.

    Example: `homing cache stats`
    """
    figures = gateway("`homing cache`").get("/cache")
    if as_json:
        print_json(figures)
        return
    rate = f"{100 * figures['hit_rate']:.2f} %"
    print_facts({name.replace("_", " "): value for name, value in (figures | {"hit_rate": rate}).items()})


@app.command
def forget(
    account: Annotated[str | None, Parameter(help="The account's number (144) or its uuid.")] = None,
    /,
    *,
    session: Annotated[str | None, Parameter(help="The session's id, in place of the account.")] = None,
    as_json: AsJson = False,
) -> None:
    """Drop one account's route from every gateway's cache, so that its next send reads the directory.

    Example: `homing cache forget 144`
    """
    if (account is None) == (session is None):
        raise CannotStart("Name either an account or, with --session, a session")
    asked = gateway("`homing cache`")
    uuid = asked.get(path("accounts", account))["uuid"] if account is not None else None
    body = {"account_uuid": uuid} if uuid is not None else {"session_id": session}
    answer = asked.post("/cache/forget", body)
    if as_json:
        print_json(answer)
    else:
        print(f"The route of account {answer['forgotten']} is forgotten.")


@app.command
def clear(*, as_json: AsJson = False) -> None:
    """Empty every gateway's cache.

    Example: `homing cache clear`
    """
    answer = gateway("`homing cache`").post("/cache/clear")
    if as_json:
        print_json(answer)
    else:
        print(f"The cache is empty; {answer['cleared']} routes were in it.")

"""`homing engine`: what the engine of the real WhatsApp needs, fetched and looked at."""

from typing import TYPE_CHECKING

from cyclopts import App

from homing.cli.sources.source import settings
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import note, print_facts, print_json
from homing.cli.terminal.stops import CannotStart

if TYPE_CHECKING:
    from homing.cli.sources.client import Document
    from homing.instance.engines.baileys.installing import Installed

app = App(name="engine", help="The engine of the real WhatsApp: what it needs beside Homing.")


@app.command
def install(*, as_json: AsJson = False) -> None:
    """Fetch Baileys by `npm ci --ignore-scripts` from a lock file, into the folder that HOMING_ENGINES names.

    It is not shipped with Homing: one of its libraries, libsignal, is GPL-3.0. What was there before stays until all
    is fetched.

    Example: `homing engine install`
    """
    from homing.instance.engines.baileys import installing
    from homing.instance.engines.registry import EngineUnusable

    known = settings()
    note(f"{installing.LICENCES}.")
    try:
        done = installing.install(known.homing_node, known.homing_engines)
    except EngineUnusable as error:
        raise CannotStart(str(error)) from error
    _show(done, as_json=as_json)


@app.command
def check(*, as_json: AsJson = False) -> None:
    """Show which Node and which Baileys an instance would run; exit 2 with what to do where something is missing.

    Example: `homing engine check`
    """
    from homing.instance.engines.baileys import installing
    from homing.instance.engines.registry import EngineUnusable

    known = settings()
    try:
        there = installing.found(known.homing_node, known.homing_engines)
    except EngineUnusable as error:
        raise CannotStart(str(error)) from error
    _show(there, as_json=as_json)


def _show(there: "Installed", *, as_json: bool) -> None:
    told: Document = {
        "engine": "baileys",
        "version": there.version,
        "folder": str(there.package),
        "node": there.node,
        "node_version": there.node_version,
    }
    if as_json:
        print_json(told)
    else:
        print_facts(told)

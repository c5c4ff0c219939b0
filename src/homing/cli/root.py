"""The command line as a whole: which commands there are, and how each way of ending becomes an exit code."""

import os
import re
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, UnusedCliTokensError

import homing
from homing.cli.directory import (
    accounts,
    audit,
    batches,
    contacts,
    endpoints,
    importing,
    keys,
    messages,
    outbox,
    pairing_links,
    workspaces,
)
from homing.cli.fleet import (
    adopting,
    alerts,
    cache,
    db,
    deaf,
    instances,
    moving,
    recycling,
    schedule,
    sessions,
    steering,
    sync,
)
from homing.cli.run import chaos, engines, processes, sim
from homing.cli.terminal import output
from homing.cli.terminal.acting import command
from homing.cli.terminal.output import note, print_json
from homing.cli.terminal.stops import ATTENTION, CANNOT, DONE, Stopped
from homing.cli.top import command as watching

_HELP = """One stable address in front of a fleet of WhatsApp session gateways: a message always finds its session.

Try it: `homing demo`

Commands ask the gateway that `HOMING_API_URL` and `HOMING_API_TOKEN` name; those that need none read
`HOMING_DATABASE_URL` without it. With `--json` a command prints one JSON document and nothing else.

Exit codes: 0 done; 1 something needs attention; 2 wrong use, or it cannot start."""


def run(tokens: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Says what went wrong in one sentence on stderr."""
    app = _app()
    output.document_was_printed = False
    try:
        words, _, _ = app.parse_commands(tokens)
        command.set(" ".join(["homing", *words]))
        result = app(tokens)
        sys.stdout.flush()
    except CycloptsError as error:
        note(f"{_said(error)} See: {_help_of(error)}")
        _print_document(tokens, "wrong_use", _said(error))
        return CANNOT
    except Stopped as stopped:
        if stopped.document is not None and "--json" in tokens:
            print_json(stopped.document)
        _print_document(tokens, "cannot_start" if stopped.exit_code == CANNOT else "needs_attention", str(stopped))
        note(str(stopped))
        return stopped.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ATTENTION
    except Exception as error:
        if os.environ.get("HOMING_LOG_LEVEL", "").lower() == "debug":
            raise
        _print_document(tokens, "internal_error", f"homing itself failed: {type(error).__name__}")
        note(f"homing itself failed ({type(error).__name__}: {error}); HOMING_LOG_LEVEL=debug shows where.")
        return ATTENTION
    return result if isinstance(result, int) else DONE


def _print_document(tokens: Sequence[str], code: str, detail: str) -> None:
    """Who asked for one document gets one, however the command ends."""
    if "--json" in tokens and not output.document_was_printed:
        print_json(
            {"type": "about:blank", "title": code.replace("_", " ").capitalize(), "code": code, "detail": detail}
        )


def _app() -> App:
    app = App(
        name="homing",
        help=_HELP,
        help_format="markdown",
        version=f"homing {homing.__version__}",
        version_format="plaintext",
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
    )
    commands: tuple[App | Callable[..., object], ...] = (
        processes.serve,
        processes.instance,
        processes.demo,
        engines.app,
        watching.top,
        chaos.chaos,
        messages.send,
        outbox.app,
        batches.app,
        accounts.app,
        contacts.app,
        workspaces.app,
        adopting.adopt,
        importing.app,
        sessions.app,
        instances.instances,
        instances.distribution,
        instances.moves,
        moving.drain,
        moving.undrain,
        moving.exited,
        moving.rebalance,
        deaf.deaf,
        pairing_links.pairing,
        recycling.recycle,
        sync.sync_instance_urls,
        schedule.app,
        steering.automation,
        steering.plans,
        cache.app,
        keys.app,
        endpoints.app,
        endpoints.deliveries,
        alerts.app,
        audit.audit,
        db.app,
        sim.app,
    )
    for place, each in enumerate(commands):
        app.command(each)
        app[_name_of(each)].sort_key = place
    return app


def _name_of(each: App | Callable[..., object]) -> str:
    return each.name[0] if isinstance(each, App) else each.__name__.replace("_", "-")


def _said(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        unused = _without_passwords(" ".join(error.unused_tokens or []))
        return f"There is no argument or command {unused!r} here."
    said = _without_passwords(" ".join(str(error).split()))
    return said if said.endswith((".", "?", "!")) else f"{said}."


def _without_passwords(said: str) -> str:
    """A URL's user and password are nobody's business: error output ends up in logs."""
    return re.sub(r"://[^\s@]*@", "://***@", said)


def _help_of(error: CycloptsError) -> str:
    return " ".join(["homing", *(error.command_chain or []), "--help"])

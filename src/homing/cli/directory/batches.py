"""`homing batches`, and sending a file of messages."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from cyclopts import App, Parameter

from homing.cli.sources.client import path
from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson, Limit, Workspace
from homing.cli.terminal.output import Columns, moment, note, print_facts, print_json, print_rows
from homing.cli.terminal.stops import ATTENTION, DONE, CannotStart

app = App(name="batches", help="Batches: many messages in one request, with their progress.")

UPLOAD_TIMEOUT_S = 3600.0
LOOK_EVERY_S = 0.5
_OVER = ("done", "cancelled", "rejected")
_KINDS = {".csv": "text/csv", ".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson"}
_COLUMNS: Columns = {
    "batch": "batch_id",
    "name": "name",
    "state": "state",
    "messages": "messages",
    "waiting": "waiting",
    "invalid": "invalid",
    "accepted": moment("created_at"),
}
BatchId = Annotated[str, Parameter(help="The batch's id.")]


@dataclass(frozen=True, slots=True)
class BulkFile:
    """A file of messages, and what is to be done with it."""

    file: Path
    template: str | None
    at: str | None
    key: str | None
    all_or_nothing: bool


def send_file(asked: GatewayClient, sender: dict[str, Any], wish: BulkFile, *, wait: bool, as_json: bool) -> int:
    """Upload it, and show its progress until it is over."""
    kind = _KINDS.get(wish.file.suffix.lower())
    if kind is None:
        raise CannotStart(f"{wish.file} is to be named .csv or .ndjson, by what is in it")
    query: dict[str, Any] = {**sender, "name": wish.file.name, "all_or_nothing": str(wish.all_or_nothing).lower()}
    query |= {name: value for name, value in (("template", wish.template), ("send_at", wish.at)) if value is not None}
    headers = {"Content-Type": kind} | ({} if wish.key is None else {"Idempotency-Key": wish.key})
    try:
        with wish.file.open("rb") as file:
            to = f"/messages/bulk?{urlencode(query)}"
            batch = asked.upload(to, file, headers=headers, timeout_s=UPLOAD_TIMEOUT_S).document
    except OSError as error:
        raise CannotStart(f"{wish.file} cannot be read: {error.strerror}") from error
    if wait and batch["state"] == "running":
        batch = _watched(asked, batch, quiet=as_json)
    _print(batch, as_json=as_json)
    failed = batch["invalid"] or batch["state"] == "rejected"
    failed = failed or any(batch["states"].get(state) for state in ("failed", "unknown", "expired", "held"))
    return ATTENTION if failed else DONE


def _watched(asked: GatewayClient, batch: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """The batch once it is over, or waits for a person; with a bar in between."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        bar = progress.add_task("", total=batch["messages"])
        while batch["state"] not in (*_OVER, "paused"):
            progress.update(bar, completed=batch["messages"] - batch["waiting"])
            time.sleep(LOOK_EVERY_S)
            batch = asked.get(path("batches", batch["batch_id"]))
        progress.update(bar, completed=batch["messages"] - batch["waiting"])
    return batch


@app.default
@app.command(name="list")
def list_batches(*, workspace: Workspace = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List batches, newest first.

    Example: `homing batches list`
    """
    page = gateway("`homing batches`").get("/batches", workspace_id=workspace, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_rows(_COLUMNS, page["data"], none="There are no batches.")


@app.command
def show(batch: BatchId, /, *, as_json: AsJson = False) -> None:
    """Show a batch, its progress, and its first invalid lines.

    Example: `homing batches show 019a2c48-e752-76f8-8529-488653394ff5`
    """
    asked = gateway("`homing batches`")
    _print(asked.get(path("batches", batch)), as_json=as_json)
    if not as_json:
        for each in asked.get(path("batches", batch, "errors"), limit=20)["data"]:
            note(f"line {each['line']}: {each['code']}: {each['detail']}")


@app.command
def pause(batch: BatchId, /, *, as_json: AsJson = False) -> None:
    """Send nothing more of a batch for now.

    Example: `homing batches pause 019a2c48-e752-76f8-8529-488653394ff5`
    """
    _act(batch, "pause", as_json=as_json)


@app.command
def resume(batch: BatchId, /, *, as_json: AsJson = False) -> None:
    """Go on with a batch that was paused.

    Example: `homing batches resume 019a2c48-e752-76f8-8529-488653394ff5`
    """
    _act(batch, "resume", as_json=as_json)


@app.command
def cancel(batch: BatchId, /, *, as_json: AsJson = False) -> None:
    """Take back all messages of a batch that have not left.

    Example: `homing batches cancel 019a2c48-e752-76f8-8529-488653394ff5`
    """
    _act(batch, "cancel", as_json=as_json)


def _act(batch: str, action: str, *, as_json: bool) -> None:
    _print(gateway("`homing batches`").post(path("batches", batch, action), {}), as_json=as_json)


def _print(batch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(batch)
        return
    states = ", ".join(f"{number} {state}" for state, number in batch["states"].items())
    names = ("batch_id", "name", "state", "reason", "messages", "invalid", "waiting")
    facts = {name.replace("_", " "): batch[name] for name in names if batch[name] not in (None, "")}
    print_facts({**facts, "states": states or "none"})

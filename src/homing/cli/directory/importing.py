"""`homing import`: another system's accounts and contacts, under the names that they have there."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from homing.cli.sources.source import gateway, settings
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import note, print_json, print_rows
from homing.cli.terminal.stops import CannotStart, NeedsAttention, Stopped
from homing.cli.terminal.waiting import bars

if TYPE_CHECKING:
    from rich.progress import Progress

    from homing.config import Settings
    from homing.imports.csv_file import CsvFile
    from homing.imports.laravel import LaravelDatabase
    from homing.model.directory.importing import ImportKind, ImportReport, RefusedRow
    from homing.model.fleet import InstanceUrl

    Source = LaravelDatabase | CsvFile

app = App(
    name="import",
    help="""Take over accounts and contacts of another system, under the names that they have there.

An import writes straight to `HOMING_DATABASE_URL`, in batches. Run again, it goes on where it was broken off, and takes
over what has changed; nothing comes to be twice. Nothing is started, stopped or paired by it.""",
)


def _no_option(_: object, value: str | None) -> None:
    if value is not None and value.startswith("-") and value != "-":
        raise ValueError(f"there is no option {value[:40]}")


REFUSED_SHOWN = 20
DSN_SETTING = "HOMING_IMPORT_DSN"

DryRun = Annotated[bool, Parameter(negative="", help="Say what would be done, and write nothing.")]
OneWorkspace = Annotated[
    int | None,
    Parameter(name="--workspace", validator=Number(gte=1), help="Where all go. [default: as the source says]"),
]
WorkspaceMap = Annotated[
    list[str] | None, Parameter(negative="", help="THEIRS=OURS, any number of times: 7=1 puts their 7 into our 1.")
]
InstanceMap = Annotated[
    list[str] | None, Parameter(negative="", help="THEIRS=OURS: an address by which Homing reaches their instance.")
]
Region = Annotated[
    str | None,
    Parameter(help="Where national numbers belong (ISO 3166), in workspaces that do not say. [default: the setting]"),
]
Report = Annotated[
    Path | None, Parameter(help="A file for the rows that could not come along: a JSON document a line, all of them.")
]


@app.command
def laravel(
    dsn: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            validator=_no_option,
            help="mysql://user:password@host:3306/database; `-` reads it from standard input, where no other user of"
            f" the machine sees it. [default: the environment's {DSN_SETTING}]",
        ),
    ] = None,
    /,
    *,
    dry_run: DryRun = False,
    workspace: OneWorkspace = None,
    workspace_map: WorkspaceMap = None,
    instance_map: InstanceMap = None,
    region: Region = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Import from the Laravel application's database, on MySQL or MariaDB.

    Accounts keep their uuid, session id, phone, workspace, instance and number; contacts their uuid and phone. Whoever
    sends by these names goes on sending.

    Example: `homing import laravel mysql://reader:secret@db.internal/app --dry-run`
    """
    from homing.imports.dsn import read_dsn
    from homing.imports.laravel import LaravelDatabase

    try:
        source = LaravelDatabase(read_dsn(_dsn(dsn)))
    except ValueError as error:
        raise CannotStart(str(error)) from None
    chosen = _choices("laravel", dry_run, workspace, workspace_map, instance_map, region, report)
    _show(_import(source, chosen), as_json=as_json)


@app.command
def csv(
    file: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            validator=_no_option,
            help="The file, plain or gzipped; `-` is standard input.",
        ),
    ],
    /,
    *,
    dry_run: DryRun = False,
    workspace: OneWorkspace = None,
    workspace_map: WorkspaceMap = None,
    instance_map: InstanceMap = None,
    region: Region = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Import from comma-separated values, whose first line names the fields.

    Accounts: `session_id`, `phone`, and if there are `uuid`, `workspace_id`, `name`, `id`, `instance_url`, `status`.
    Contacts: `phone`, and if there are `uuid`, `workspace_id`, `name`, `id`. A file with both has a column `kind`.

    Example: `homing import csv contacts.csv --workspace 1`
    """
    from homing.imports.csv_file import CsvFile

    chosen = _choices("csv", dry_run, workspace, workspace_map, instance_map, region, report)
    _show(_import(CsvFile(file), chosen), as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Choices:
    """What was asked for beside the source."""

    source: str
    dry_run: bool
    workspace: int | None
    workspaces: Mapping[int, int]
    instances: "Mapping[InstanceUrl, InstanceUrl]"
    region: str | None
    report: Path | None


def _choices(
    source: str,
    dry_run: bool,
    workspace: int | None,
    workspace_map: list[str] | None,
    instance_map: list[str] | None,
    region: str | None,
    report: Path | None,
) -> _Choices:
    workspaces = dict(_workspace_pair(pair) for pair in workspace_map or ())
    instances = dict(_instance_pair(pair) for pair in instance_map or ())
    return _Choices(source, dry_run, workspace, workspaces, instances, _region(region), report)


def _import(source: "Source", chosen: _Choices) -> dict[str, Any]:
    """The document of one import. Raises Stopped."""
    from homing.cli.sources.database import told

    known = _settings_to_write_by()
    began_s = time.monotonic()
    with _refusals_to(chosen.report) as tell_refused:
        report, strange = told(lambda: _run(source, chosen, known, tell_refused))
    if not chosen.dry_run and any(tally.updated for tally in report.tallies.values()):
        _told_to_a_gateway_on_a_file(known)
    return _document(report, chosen, strange, time.monotonic() - began_s)


async def _run(
    source: "Source", chosen: _Choices, known: "Settings", tell_refused: "Callable[[RefusedRow], None]"
) -> "tuple[ImportReport, frozenset[InstanceUrl]]":
    """What it came to, and the instances that rows speak of and nobody has added."""
    from homing.compose.importing import open_import
    from homing.decide.importing.reading import ImportRules
    from homing.flows.importing.importing import Importing
    from homing.ports import StoreUnavailable
    from homing.ports.directory.importing import Raced, SourceUnreadable

    begun = False
    try:
        async with source as rows, open_import(known, region=chosen.region) as tools:
            rules = ImportRules(tools.spare_uuid, tools.number, chosen.workspaces, chosen.workspace, chosen.instances)
            with bars() as progress:
                tell = _bars_for(progress, await rows.totals())
                begun = not chosen.dry_run
                importing = Importing(tools.store, rules, dry_run=chosen.dry_run, tell=tell, refused=tell_refused)
                report = await importing.run(rows)
            return report, frozenset(report.instances.keys() - tools.instances)
    except (SourceUnreadable, Raced, StoreUnavailable) as error:
        sentence = str(error)[:1].upper() + str(error)[1:]
        if begun:
            raise NeedsAttention(f"{sentence}. What was written stays; run it again to go on") from None
        raise CannotStart(sentence) from None


def _bars_for(progress: "Progress", totals: "Mapping[ImportKind, int | None]") -> "Callable[[ImportKind, int], None]":
    tasks = {kind: progress.add_task(f"{kind.value.capitalize()}s", total=total) for kind, total in totals.items()}
    return lambda kind, rows: progress.advance(tasks[kind], rows)


def _settings_to_write_by() -> "Settings":
    known = settings()
    if known.homing_api_url and "homing_database_url" not in known.model_fields_set:
        raise CannotStart(
            "An import writes straight to the database: set HOMING_DATABASE_URL to the one that the gateway at"
            f" {known.homing_api_url} uses"
        )
    return known


def _told_to_a_gateway_on_a_file(known: "Settings") -> None:
    """Between processes on a SQLite file there are no notices: its gateway may still have what was changed."""
    from sqlalchemy import URL

    from homing.store.db.opening import parse

    if not isinstance(parse(known.homing_database_url), URL):
        return
    if not known.homing_api_url:
        note(
            "A gateway that runs on this file may use what it remembers for 5 minutes; `homing cache clear` ends that."
        )
        return
    try:
        gateway("Clearing its cache").post("/cache/clear")
    except Stopped as stopped:
        note(f"The gateway's cache could not be cleared, and forgets within 5 minutes: {stopped}")


# --- what was asked for -----------------------------------------------------------------------------------------


def _dsn(given: str | None) -> str:
    if given == "-":
        return sys.stdin.readline().strip()
    found = given if given is not None else os.environ.get(DSN_SETTING, "")
    if not found:
        raise CannotStart(f"Name the database: mysql://user:password@host:3306/database, or set {DSN_SETTING} to that")
    return found


def _workspace_pair(pair: str) -> tuple[int, int]:
    theirs, _, ours = pair.partition("=")
    if not theirs.isdecimal() or not ours.isdecimal() or int(ours) < 1:
        raise CannotStart(f"A workspace is put in place of theirs as THEIRS=OURS, such as 7=1, and not as {pair!r}")
    return int(theirs), int(ours)


def _instance_pair(pair: str) -> "tuple[InstanceUrl, InstanceUrl]":
    from homing.model.urls import normal

    theirs, _, ours = pair.partition("=")
    try:
        return normal(theirs), normal(ours)
    except ValueError as error:
        raise CannotStart(f"An instance is named as THEIRS=OURS, two addresses: {error}") from None


def _region(given: str | None) -> str | None:
    from homing.model.errors import Problem
    from homing.serve.callers.workspaces import region_of

    try:
        return None if given is None else region_of(given)
    except Problem as refused:
        raise CannotStart(refused.detail) from None


# --- what is said of it -----------------------------------------------------------------------------------------


@contextmanager
def _refusals_to(path: Path | None) -> "Iterator[Callable[[RefusedRow], None]]":
    if path is None:
        yield lambda _: None
        return
    try:
        with path.open("w", encoding="utf-8") as lines:
            yield lambda row: print(json.dumps(_refused(row), ensure_ascii=False), file=lines)
    except OSError as error:
        raise CannotStart(f"The report {path} cannot be written: {error.strerror}") from error


def _refused(row: "RefusedRow") -> dict[str, Any]:
    origin = row.origin
    return {"table": origin.table, "id": origin.id, "line": origin.line, "uuid": row.uuid, "reason": row.reason}


def _document(
    report: "ImportReport", chosen: _Choices, strange: "frozenset[InstanceUrl]", took_s: float
) -> dict[str, Any]:
    tallies = {f"{kind.value}s": asdict(tally) for kind, tally in report.tallies.items()}
    return {
        "source": chosen.source,
        "dry_run": chosen.dry_run,
        **tallies,
        "skipped": report.skipped,
        "refused": [_refused(row) for row in report.refused],
        "refused_total": report.refusals,
        "instances": [
            {"url": url, "accounts": number, "known": url not in strange}
            for url, number in sorted(report.instances.items())
        ],
        "execution_s": round(took_s, 2),
    }


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    """Raises NeedsAttention where rows could not come along."""
    total = document["refused_total"]
    sentence = f"{total} rows could not come along" if total != 1 else "One row could not come along"
    if as_json:
        print_json(document)
    else:
        _print(document)
    if total:
        raise NeedsAttention(f"{sentence}; set them right where they are, and run it again")


def _print(document: dict[str, Any]) -> None:
    if document["dry_run"]:
        note("A dry run: nothing was written.")
    rows = [{"what": what, **document[what]} for what in ("accounts", "contacts")]
    columns = ("what", "read", "created", "updated", "unchanged", "skipped", "refused")
    print_rows({column: column for column in columns}, rows, none="")
    for reason, number in document["skipped"].items():
        note(f"{number} not meant to come along: {reason}")
    for row in document["refused"][:REFUSED_SHOWN]:
        where = f"{row['table']} line {row['line']}" if row["line"] else f"{row['table']} {row['id']}"
        note(f"{where}: {row['reason']}")
    if document["refused_total"] > REFUSED_SHOWN:
        note(f"… and {document['refused_total'] - REFUSED_SHOWN} more; --report FILE writes all of them down.")
    for instance in document["instances"]:
        if not instance["known"]:
            note(
                f"{instance['url']} is said to hold {instance['accounts']} accounts, and is not among the instances:"
                f" `homing adopt {instance['url']}` looks at it, `homing instances add {instance['url']}` routes to it"
            )

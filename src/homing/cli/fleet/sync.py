"""`homing sync-instance-urls`: check where every session is, and correct the directory."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from homing.cli.sources.source import source
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import print_json
from homing.cli.terminal.stops import ATTENTION, DONE

if TYPE_CHECKING:
    from rich.console import Console

_RULE = "=" * 40
_COUNTS = {
    "verified": "Verified (no change needed)",
    "updated": "Updated (instance changed)",
    "failed": "Failed (session not found)",
    "unreachable": "Unreachable (check manually)",
}
_COUNTS_IF_ANY = {
    "skipped": "Skipped (verified just now)",
    "duplicates": "Duplicates (held twice)",
}
_LINES_FOR_EACH = 200
"""In a larger fleet only sessions that changed or need attention have lines of their own, unless asked with -v."""


def sync_instance_urls(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would change, and change nothing.")] = False,
    force: Annotated[
        bool, Parameter(negative="", help="Look at sessions verified within the last minute too.")
    ] = False,
    verbose: Annotated[
        int, Parameter(name=["-v", "--verbose"], count=True, help="-v: every session and why; -vv: oddities too.")
    ] = 0,
    as_json: AsJson = False,
) -> int:
    """Check every active session against the instances' own lists, and correct what the directory has wrong.

    Each instance is asked once. A gateway does this by itself every five minutes.

    Example: `homing sync-instance-urls --dry-run`

    Exit codes: 0 everything is in its place; 1 some sessions need attention; 2 it cannot start.
    """
    report = source().sync(dry_run=dry_run, force=force)
    if as_json:
        print_json({name: value for name, value in report.items() if name != "checks"})
    else:
        _show(report, verbose)
    return ATTENTION if report["failed"] or report["unreachable"] or report["duplicates"] else DONE


def _show(report: dict[str, Any], verbose: int) -> None:
    console = _console()
    _headline(console, "WhatsApp Instance URL Sync")
    if report["dry_run"]:
        console.print("DRY RUN MODE - No changes will be made\n", style="yellow")
    console.print(f"Found {report['found']} active session(s) to verify\n", style="green")
    for check in _worth_a_line(report, verbose):
        _show_check(console, check, report["dry_run"], verbose)
    _headline(console, "Sync Results")
    console.print(_counts(report))
    _show_updates(console, report["updates"])
    if verbose:
        _show_strays(console, report)
    if verbose > 1 and report["oddities"]:
        console.print("\nOddities:", *report["oddities"], sep="\n  ", style="yellow")
    if report["failed"] or report["unreachable"] or report["duplicates"]:
        console.print("\n⚠️  Some sessions require attention. Check logs for details.", style="yellow")
    console.print(f"\nExecution time: {report['execution_s']:.2f}s", style="green")
    if report["dry_run"]:
        console.print("\nDRY RUN COMPLETED - No changes were made", style="yellow")
        console.print("Run without --dry-run to apply changes", style="green")


def _worth_a_line(report: dict[str, Any], verbose: int) -> Iterable[dict[str, Any]]:
    checks: list[dict[str, Any]] = report.get("checks", [])
    if verbose or report["found"] <= _LINES_FOR_EACH:
        return checks
    return [check for check in checks if check["result"] in ("updated", "failed", "unreachable")]


def _show_check(console: "Console", check: dict[str, Any], dry_run: bool, verbose: int) -> None:
    console.print(f"Checking Account #{check['account']} ({check['phone']})...")
    if check["result"] == "verified":
        console.print(f"  ✓ Session found in assigned instance: {check['old']}", style="green")
    elif check["result"] == "skipped":
        console.print(f"  - Skipped: {check['reason']}", style="dim")
    else:
        _show_search(console, check, dry_run)
    if verbose and check["result"] != "skipped":
        console.print(f"    because {check['reason']}", style="dim")
    console.print()


def _show_search(console: "Console", check: dict[str, Any], dry_run: bool) -> None:
    console.print(f"  ✗ Session NOT found in assigned instance: {check['old'] or 'none'}", style="yellow")
    console.print("  Scanning all instances...")
    if check["result"] == "updated":
        console.print(f"  ✓ Session found in: {check['new']}", style="green")
        if dry_run:
            console.print(f"  [DRY RUN] Would update: {check['old']} → {check['new']}", style="yellow")
        else:
            console.print("  ✓ Database updated", style="green")
    elif check["result"] == "failed":
        console.print("  ✗ Session not found in ANY instance", style="red")
    else:
        console.print(f"  ✗ Session unreachable: {check['reason']}", style="red")


def _counts(report: dict[str, Any]) -> str:
    shown = _COUNTS | {name: words for name, words in _COUNTS_IF_ANY.items() if report[name]}
    return table(["Status", "Count"], [[words, str(report[name])] for name, words in shown.items()])


def _show_updates(console: "Console", updates: list[dict[str, Any]]) -> None:
    if not updates:
        return
    rows = [[f"#{up['account']}", up["phone"], up["old"] or "none", up["new"], up["reason"]] for up in updates]
    console.print("\nUpdate Details:", style="green")
    console.print(table(["Account", "Phone", "Old Instance", "New Instance", "Reason"], rows))


def _show_strays(console: "Console", report: dict[str, Any]) -> None:
    """What is listed and not placed there, with the command that takes it up."""
    if not report.get("strays"):
        return
    named: list[dict[str, Any]] = report["stray_sessions"]
    console.print(f"\n{report['strays']} listed where they are not placed:", style="yellow")
    for stray in named:
        console.print(f"  {stray['session_id']} on {stray['instance_url']} ({stray['kind']}): {stray['reason']}")
        if stray["adopt"]:
            console.print(f"    {stray['adopt']}", style="dim")
    if (more := report["strays"] - len(named)) > 0:
        console.print(f"  … and {more} more")


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Rows in a frame of plain characters, as wide as they are."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def line(cells: list[str]) -> str:
        return "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(cells, widths, strict=True)) + "|"

    return "\n".join([rule, line(headings), rule, *map(line, rows), rule])


def _headline(console: "Console", words: str) -> None:
    console.print(f"{_RULE}\n{words}\n{_RULE}\n", style="green")


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

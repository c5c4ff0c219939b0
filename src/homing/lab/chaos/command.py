"""`homing chaos`: play the faults, show how far it is, and what came of it; interrupted, of as much as there was."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence

import uvloop
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from homing.lab.chaos.faults.kind import FaultKind
from homing.lab.chaos.ground import mounts
from homing.lab.chaos.results import Results, Tally, spread
from homing.lab.chaos.run import Orders, run
from homing.lab.chaos.soak import DESCRIPTORS_GROW_MAX, Growth
from homing.lab.chaos.stage import StageOrder
from homing.serve import logs

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OURS = frozenset(
    {
        "HOMING_API_URL",
        "HOMING_API_TOKEN",
        "HOMING_DATABASE_URL",
        "HOMING_HOST",
        "HOMING_PORT",
        "HOMING_URL",
        "HOMING_VAULT_KEY",
        "HOMING_VAULT_OLD_KEYS",
    }
)
"""Settings that say where a fleet is, and not how it behaves."""
_SHOWN_WRONG = 20


def settings_from(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's settings that gateways and instances of the run are told."""
    return {name: value for name, value in environment.items() if name.startswith("HOMING_") and name not in _OURS}


def play(wanted: StageOrder, orders: Orders, *, as_json: bool) -> Results:
    """Play, with progress on stderr. Raises Unworkable, with nothing left behind."""
    logs.configure("error", "text")
    mounts.enter()
    console = Console(stderr=True, highlight=False, emoji=False)
    return uvloop.run(_played(wanted, orders, console, quiet=as_json and not console.is_terminal))


async def _played(wanted: StageOrder, orders: Orders, console: Console, *, quiet: bool) -> Results:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told = False

    def end() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, end)
    with console.status("Starting") as status:

        def tell(what: str) -> None:
            if what.startswith("! "):
                console.print(f"[bold red]✗[/] {escape(what[2:])}", soft_wrap=True)
            elif console.is_terminal:
                status.update(f"{escape(what)} …")
            elif not quiet:
                console.print(escape(what), soft_wrap=True)

        return await run(wanted, orders, tell)


def show(results: Results) -> None:
    """The table, and below it what went wrong."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, emoji=False)
    headings = ("fault", "repeats", "n", "p50", "p99", "max", "within", "messages", "failed first")
    counts = ("unknown", "lost", "doubled", "false moves")
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(title=results.fleet, title_justify="left", box=style, pad_edge=False)
    for heading in (*headings, *counts, ""):
        table.add_column(heading, justify="left" if heading == "fault" else "right", no_wrap=True)
    for tally in results.tallies.values():
        table.add_row(*_row(tally))
    console.print(table)
    if results.growths:
        show_growths(results.growths)
    _sum_up(console, results)


def _row(tally: Tally) -> Sequence[str]:
    recovery, verdict = spread(tally.recovery), tally.verdict
    times = [f"{recovery[name]:.2f} s" if recovery["n"] else "-" for name in ("p50", "p99", "max")]
    counts = (verdict.failed_at_first, verdict.unknown, verdict.lost, verdict.doubled, tally.false_moves)
    mark = "[green]✓[/]" if not tally.wrong else "[bold red]✗[/]"
    named = [tally.kind.name, str(len(tally.played)), str(recovery["n"]), *times, f"{tally.kind.within_s:g} s"]
    return [*named, f"{verdict.messages:,}", *(f"{count:,}" for count in counts), mark]


def _sum_up(console: Console, results: Results) -> None:
    total = results.total
    if results.batches is not None:
        console.print(results.batches.sentence, soft_wrap=True)
    ended = "Interrupted: " if results.interrupted else ""
    played = f"{results.repeats} faults of {len(results.tallies)} kinds in {results.took_s:.0f} s, seed {results.seed}"
    console.print(
        f"{ended}{played}: {total.messages:,} messages, {total.lost} lost, {total.doubled} doubled,"
        f" {len(results.under_old_epochs)} under an old epoch"
        + (f", {results.unreadable} asked for once more by phones." if results.unreadable is not None else "."),
        soft_wrap=True,
    )
    for lack, names in _by_lack(results.left_out).items():
        console.print(f"NOT RUN: {', '.join(names)}: {escape(lack)}", soft_wrap=True)
    for what in results.wrong[:_SHOWN_WRONG]:
        console.print(f"[bold red]✗[/] {escape(what)}", soft_wrap=True)
    if len(results.wrong) > _SHOWN_WRONG:
        console.print(f"… and {len(results.wrong) - _SHOWN_WRONG} more; --json has them all")


def show_growths(growths: Sequence[Growth]) -> None:
    """How each process of a soak grew after its warm-up."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, emoji=False)
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(title="Trends after the first third", title_justify="left", box=style, pad_edge=False)
    for heading in ("process", "judged", "memory", "grew", "may grow", "descriptors", "grew", "may grow", ""):
        table.add_column(heading, justify="left" if heading == "process" else "right", no_wrap=True)
    for each in growths:
        memory = f"{each.memory_from_bytes / 2**20:.1f} to {each.memory_to_bytes / 2**20:.1f} MiB"
        grew = f"{each.memory_grew_bytes / 2**20:+.1f} MiB"
        may = f"{each.memory_may_grow_bytes / 2**20:.1f} MiB"
        descriptors = f"{each.descriptors_from} to {each.descriptors_to}"
        mark = "[green]✓[/]" if not each.wrong else "[bold red]✗[/]"
        more = (descriptors, f"{each.descriptors_grew:+.1f}", str(DESCRIPTORS_GROW_MAX), mark)
        table.add_row(each.process, f"{each.judged_s / 60:.0f} min", memory, grew, may, *more)
    console.print(table)


def show_kinds(kinds: Iterable[FaultKind]) -> None:
    """What each does, and what it takes."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, emoji=False)
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for heading in ("fault", "what it does", "within", "needs"):
        table.add_column(heading, justify="right" if heading == "within" else "left")
    for kind in kinds:
        table.add_row(kind.name, kind.does, f"{kind.within_s:g} s", ", ".join(kind.takes))
    console.print(table)


def _by_lack(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    """The kinds that were not run, under what they lacked."""
    found: dict[str, list[str]] = {}
    for name, lack in left_out.items():
        found.setdefault(f"needs {lack}", []).append(name)
    return found


def environment() -> dict[str, str]:
    """What this run's processes are told of the caller's settings."""
    return settings_from(os.environ)

"""How results are shown: one JSON document for programs, tables for people, notes on stderr.

Nothing is cut short when the output goes to a file or a pipe, and there is no colour there.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]
Columns = Mapping[str, str | Callable[[Row], Any]]
"""Heading -> the row's field, or how to make the cell of the row."""

_AS_WIDE_AS_NEEDED = 100_000


document_was_printed = False
"""Whether this command's document is out; how it ends may have none of its own then."""


def print_json(document: Any) -> None:
    """The one document of a command with `--json`."""
    global document_was_printed
    document_was_printed = True
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def note(sentence: str) -> None:
    """Something for the person at the terminal, which no program reading stdout should see."""
    print(sentence, file=sys.stderr)


def print_rows(columns: Columns, rows: Sequence[Row], *, none: str) -> None:
    """Rows as a table; `none` is the note to give where there are none."""
    if not rows:
        note(none)
        return
    table = _table(*columns)
    for row in rows:
        table.add_row(*(shown(_cell(row, how)) for how in columns.values()))
    _print(table)


def print_page(columns: Columns, page: Mapping[str, Any], *, none: str) -> None:
    """A page of a listing, and where the next one begins."""
    print_rows(columns, page["data"], none=none)
    if page.get("next") is not None:
        note(f"There are more: --after {page['next']}")


def print_facts(facts: Mapping[str, Any]) -> None:
    """One thing, a fact on each line."""
    table = _table("", "")
    table.show_header = False
    for name, value in facts.items():
        table.add_row(name, shown(value))
    _print(table)


def shown(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
        case _:
            return str(value)


def moment(field: str) -> Callable[[Row], str]:
    """The cell of a time: to the second, in UTC."""
    return lambda row: instant(row.get(field))


def instant(at: str | None) -> str:
    """An ISO-8601 time as people read it."""
    if not at:
        return "-"
    return at.replace("T", " ")[:19] + "Z"


def rate_shown(row: Row) -> str:
    """How often a key or a workspace may ask."""
    limit = row.get("rate_limit")
    return "-" if limit is None else f"{limit['requests']} in {limit['per_s']} s"


def attention(row: Row) -> str:
    """The alerts that stand about it, by their kinds."""
    return ", ".join(alert["kind"] for alert in row.get("attention") or ()) or "-"


def _cell(row: Row, how: str | Callable[[Row], Any]) -> Any:
    return how(row) if callable(how) else row.get(how)


def _table(*headings: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    on_terminal = sys.stdout.isatty()
    console = Console(
        width=None if on_terminal else _AS_WIDE_AS_NEEDED,
        no_color=None if on_terminal else True,
        color_system="auto" if on_terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as capture:
        console.print(table)
    lines = (line.rstrip() for line in capture.get().splitlines())
    sys.stdout.write("\n".join(lines) + "\n")

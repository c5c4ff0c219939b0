"""How `homing top` draws what it has seen. Nothing that comes from outside is taken for markup."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from homing.cli.top.keys import LookedAt, ScreenPage
from homing.cli.top.seen import Row, SeenState
from homing.decide.knowledge.standing import Group, Tone

Cells = dict[str, Callable[[Row], Any]]

_COLOURS = {Tone.OK: "green", Tone.BUSY: "cyan", Tone.WARN: "yellow", Tone.BAD: "red", Tone.OFF: "dim"}
_SHAPES = {"healthy": "●", "suspect": "◐", "down": "✖", "critical": "✖", "warning": "▲"}
_WELL = "healthy"
_CELL_MAX = 120
STALE_S = 10.0
KEYS = (
    ("1 … 5", "now, instances, sessions, moves, alerts"),
    ("j k, arrows, space, b, g", "down, up, a page down, a page up, to the top"),
    ("/", "only rows with this text; Enter keeps it, Esc ends it"),
    ("q", "leave"),
)


def screen(
    seen: SeenState, looking: LookedAt, *, silent_s: float, trouble: str | None, rows: int, now: datetime
) -> RenderableType:
    """All of the screen: how old it is, the sentence that is read first, and the page that is looked at."""
    head = [_bar(seen, looking, silent_s, trouble)]
    if not seen.known:
        return Stack(*head, Text("\nNothing is known yet.", style="dim"))
    said = seen.verdict()
    head += [Text(f"{said.says}", style=f"bold {_COLOURS[said.tone]}"), Text(said.more, style="dim"), Text()]
    return Stack(*head, _page(seen, looking, max(3, rows - len(head) - 3), now))


def _bar(seen: SeenState, looking: LookedAt, silent_s: float, trouble: str | None) -> Text:
    bar = Text("homing top", style="bold")
    for place, page in enumerate(list(ScreenPage)[:-1], 1):
        bar.append(f"  {place} {page.value}", style="reverse" if page is looking.page else "dim")
    if trouble is not None:
        age = f"; what is shown is {silent_s:.0f} s old" if seen.known else ""
        bar.append(f"  ✖ no stream: {trouble}{age}", style="red")
    elif silent_s > STALE_S:
        bar.append(f"  ◐ nothing heard for {silent_s:.0f} s", style="yellow")
    else:
        bar.append("  ● live", style="green")
    if looking.typing or looking.wanted:
        bar.append(f"  /{looking.wanted}{'_' if looking.typing else ''}", style="cyan")
    return bar


def _page(seen: SeenState, looking: LookedAt, rows: int, now: datetime) -> RenderableType:
    match looking.page:
        case ScreenPage.NOW:
            return _now(seen, looking, rows, now)
        case ScreenPage.INSTANCES:
            return _table(_INSTANCE | {"since": lambda row: _ago(row["since"], now)}, _ill_first(seen), looking, rows)
        case ScreenPage.SESSIONS:
            return _table(_SESSION | {"since": lambda row: _ago(row["since"], now)}, _worst_first(seen), looking, rows)
        case ScreenPage.MOVES:
            return _table({"ago": lambda row: _ago(row["at"], now)} | _MOVE, seen.moves, looking, rows)
        case ScreenPage.ALERTS:
            return _table(_ALERT | {"since": lambda row: _ago(row["since"], now)}, seen.alerts, looking, rows)
        case ScreenPage.KEYS:
            return _table({"key": lambda row: row["key"], "does": lambda row: row["does"]}, _keys(), looking, rows)


def _now(seen: SeenState, looking: LookedAt, rows: int, now: datetime) -> RenderableType:
    counts = seen.counts
    line = Text("   ").join(
        Text(f"{counts[group]:,} {group.value.replace('_', ' ')}", style="" if counts[group] else "dim")
        for group in Group
    )
    ill = [row for row in _ill_first(seen) if row["health"] != _WELL or row["state"] != "active"]
    part = max(3, rows // 2 - 4)
    wrong = _table(_INSTANCE | {"since": lambda row: _ago(row["since"], now)}, ill, looking, part)
    alerts = _table(_ALERT | {"since": lambda row: _ago(row["since"], now)}, seen.alerts, looking, part)
    moved = Counter(str(move["kind"]) for move in seen.moves if _seconds(move["at"], now) < 3600)
    hour = ", ".join(f"{number} {kind}" for kind, number in moved.most_common()) or "none"
    well = Text(f"{len(seen.instances) - len(ill)} of {len(seen.instances)} instances are well and take sessions.")
    return Stack(line, Text(f"Moves in the last hour: {hour}", style="dim"), Text(), well, wrong, Text(), alerts)


_INSTANCE: Cells = {
    "": lambda row: _SHAPES.get(row["health"], "?"),
    "instance": lambda row: row["name"] or row["url"],
    "health": lambda row: row["health"],
    "state": lambda row: row["state"],
    "sessions": lambda row: f"{row['can_send']}/{row['sessions']}",
    "driver": lambda row: f"{row['driver']} {row['version'] or ''}",
    "reason": lambda row: row["reason"],
}
_SESSION: Cells = {
    "account": lambda row: row["account_id"],
    "phone": lambda row: row["phone_written"],
    "name": lambda row: row["name"],
    "how": lambda row: row["standing"],
    "instance": lambda row: row["instance_name"] or row["instance_url"] or "–",
    "epoch": lambda row: row["epoch"],
}
_MOVE: Cells = {
    "kind": lambda row: row["kind"],
    "account": lambda row: row["account_id"],
    "from": lambda row: row["from_url"] or "–",
    "to": lambda row: row["to_url"] or "–",
    "took": lambda row: f"{row['duration_ms'] / 1000:.2f} s" if row.get("duration_ms") is not None else "–",
    "reason": lambda row: row["reason"],
}
_ALERT: Cells = {
    "": lambda row: _SHAPES.get(row["severity"], "?"),
    "alert": lambda row: row["title"],
    "about": lambda row: row["subject"] or "the fleet",
    "reason": lambda row: row["reason"],
    "do": lambda row: row["do"],
}


def _table(cells: Cells, found: Iterable[Row], looking: LookedAt, most: int) -> RenderableType:
    """The rows that have what is looked for, from where the person is; what does not fit is counted."""
    drawn = [[_text(cell(row)) for cell in cells.values()] for row in found]
    wanted = looking.wanted.casefold()
    kept = [row for row in drawn if not wanted or any(wanted in cell.plain.casefold() for cell in row)]
    begin = min(looking.down, max(0, len(kept) - most))
    table = Table(*cells, box=None, pad_edge=False, header_style="dim", expand=False)
    for row in kept[begin : begin + most]:
        table.add_row(*row)
    if not kept:
        return Text("There are none." if not wanted else "There are none with this text.", style="dim")
    below = len(kept) - begin - most
    return Stack(table, Text(f"{below} more below", style="dim")) if below > 0 else table


def _text(value: Any) -> Text:
    """On one line, and without what would steer the terminal."""
    plain = "".join(each if each.isprintable() else " " for each in str(value))
    return Text(plain if len(plain) <= _CELL_MAX else plain[: _CELL_MAX - 1] + "…")


def _ill_first(seen: SeenState) -> Sequence[Row]:
    return sorted(seen.instances.values(), key=lambda row: (row["health"] == _WELL, row["url"]))


def _worst_first(seen: SeenState) -> Sequence[Row]:
    return sorted(seen.sessions.values(), key=lambda row: (row["can_send"], row["standing"], row["account_id"]))


def _keys() -> Sequence[Row]:
    return [{"key": key, "does": does} for key, does in KEYS]


def _seconds(at: str | None, now: datetime) -> float:
    if at is None:
        return float("inf")
    moment = datetime.fromisoformat(at)
    return (now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()


def _ago(at: str | None, now: datetime) -> str:
    if at is None:
        return "–"
    seconds = max(0.0, _seconds(at, now))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"

"""What measurements say: rows of claimed and measured, and the tables that can be pasted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """Times in seconds, as people read them."""

    times: Sequence[float]

    def at(self, share: float) -> float:
        """The time that this share of them does not exceed; 0 of none."""
        ordered = sorted(self.times)
        return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0

    def figures(self) -> dict[str, float]:
        named = {"p50_s": self.at(0.5), "p99_s": self.at(0.99), "max_s": max(self.times, default=0.0)}
        return {"n": len(self.times)} | {name: round(value, 6) for name, value in named.items()}

    def __str__(self) -> str:
        if not self.times:
            return "none"
        p50, p99, most = (shown(value) for value in (self.at(0.5), self.at(0.99), max(self.times)))
        return f"p50 {p50}, p99 {p99}, max {most} (n {len(self.times):,})"


@dataclass(frozen=True, slots=True)
class Row:
    """One claim, and what was seen. A row without a claim is a figure, and always kept."""

    what: str
    claimed: str
    measured: str
    kept: bool = True
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def cell(self) -> str:
        mark = "" if not self.claimed else " ✓" if self.kept else " ✗"
        return self.measured + mark


@dataclass(slots=True)
class Report:
    """The rows of one measurement, in one setting."""

    title: str
    setting: str = ""
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, claimed: str, measured: str | Spread, kept: bool = True) -> None:
        figures = measured.figures() if isinstance(measured, Spread) else {}
        self.rows.append(Row(what, claimed, str(measured), kept, figures))

    @property
    def kept(self) -> bool:
        return all(row.kept for row in self.rows)

    @property
    def broken(self) -> list[str]:
        return [f"{row.what}: claimed {row.claimed}, measured {row.measured}" for row in self.rows if not row.kept]

    def document(self) -> dict[str, Any]:
        rows = [
            {"what": row.what, "claimed": row.claimed, "measured": row.measured, "kept": row.kept} | row.figures
            for row in self.rows
        ]
        return {"title": self.title, "setting": self.setting, "kept": self.kept, "rows": rows}


def table(reports: Sequence[Report]) -> str:
    """One measurement in all its settings, side by side, in Markdown."""
    settings = [report.setting or "measured" for report in reports]
    claims = {row.what: row.claimed for report in reports for row in report.rows}
    cells = [{row.what: row.cell for row in report.rows} for report in reports]
    lines = [f"### {reports[0].title}", "", _line(["", "claimed", *settings]), _line(["---"] * (len(settings) + 2))]
    lines += [_line([what, claimed, *(each.get(what, "") for each in cells)]) for what, claimed in claims.items()]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def shown(seconds: float) -> str:
    """A time with as many digits as it can bear."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"

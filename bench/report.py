"""What a measurement says: rows of claimed and measured, as a table that can be pasted."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One claim, and what was seen."""

    what: str
    claimed: str
    measured: str
    kept: bool = True


@dataclass(slots=True)
class Report:
    """The rows of one measurement."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, claimed: str, measured: str, kept: bool = True) -> None:
        self.rows.append(Row(what, claimed, measured, kept))

    @property
    def kept(self) -> bool:
        return all(row.kept for row in self.rows)

    @property
    def broken(self) -> list[str]:
        return [f"{row.what}: claimed {row.claimed}, measured {row.measured}" for row in self.rows if not row.kept]

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", "| | claimed | measured | |", "|---|---|---|---|"]
        lines += [f"| {row.what} | {row.claimed} | {row.measured} | {'✓' if row.kept else '✗'} |" for row in self.rows]
        return "\n".join(lines) + "\n"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"

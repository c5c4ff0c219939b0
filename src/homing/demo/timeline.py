"""What happened when, for people to read while it happens and for programs afterwards."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_AS_WIDE_AS_NEEDED = 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise, whether it held, and what was seen."""

    claim: str
    holds: bool
    seen: str


@dataclass(slots=True)
class Chapter:
    """One scenario as it was told: what happened, and what came of each promise."""

    name: str
    claims: list[Claim] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        return bool(self.claims) and all(claim.holds for claim in self.claims)

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.passed,
            "took_s": round(self.took_s, 3),
            "claims": [{"claim": claim.claim, "holds": claim.holds, "seen": claim.seen} for claim in self.claims],
            "timeline": self.told,
        }


class Timeline:
    """Prints each happening with the seconds since the start, and notes it in the chapter that is being told."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_s = time.monotonic()
        self._chapter: Chapter | None = None

    @property
    def at_s(self) -> float:
        return time.monotonic() - self._began_s

    def begin(self, chapter: Chapter, promise: str) -> None:
        self._chapter = chapter
        self._print()
        self._print(f"[bold]{escape(chapter.name)}[/]  {escape(promise)}")

    def tell(self, what: str) -> None:
        """Something happened."""
        at_s = self.at_s
        if self._chapter is not None:
            self._chapter.told.append({"at_s": round(at_s, 3), "what": what})
        self._print(f"[cyan]{at_s:7.2f} s[/]  {escape(what)}")

    def judge(self, claim: str, *, holds: bool, seen: str) -> None:
        """A promise was looked at."""
        assert self._chapter is not None
        self._chapter.claims.append(Claim(claim, holds, seen))
        mark = "[green]✓[/]" if holds else "[bold red]✗[/]"
        self._print(f"        {mark}   {escape(claim)} [dim]({escape(seen)})[/]")

    def end(self, verdict: str, *, good: bool) -> None:
        self._print()
        self._print(f"[bold {'green' if good else 'red'}]{escape(verdict)}[/]")

    def table(self, title: str, rows: Sequence[Mapping[str, str]]) -> None:
        """How things stand."""
        on_terminal = self._console.is_terminal
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD if on_terminal else None, pad_edge=False)
        for heading in rows[0]:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row.values()))
        self._console.print(table, width=None if on_terminal else _AS_WIDE_AS_NEEDED)

    def _print(self, line: str = "") -> None:
        self._console.print(line, soft_wrap=True)

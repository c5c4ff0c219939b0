"""What came of many runs, as one document."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from homing.lab.sim.trial.judging.checkers import Violation, violations
from homing.lab.sim.trial.judging.diary import UNHEARD
from homing.lab.sim.trial.judging.history import Corrupted
from homing.lab.sim.trial.judging.sometimes import SOMETIMES, counted, missing, missing_of_the_outbox
from homing.lab.sim.trial.trial import Run

ENOUGH_SEEDS = 500
"""From so many runs of the standard scenario on, whatever never happened is a fault of the runs."""


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What is kept of one run."""

    seed: int
    trace: str
    violations: tuple[Violation, ...]
    virtual_s: float
    wall_s: float
    steps: int
    sometimes: Mapping[str, int]


def judged(run: Run) -> RunVerdict:
    """The run, judged."""
    found: list[Violation] = []
    sometimes: Mapping[str, int] = {}
    if run.broke is not None:
        found.append(Violation("runs_to_its_end", run.broke, run.virtual_s))
    else:
        try:
            found += violations(run.scenario, run.events)
            sometimes = counted(run)
        except Corrupted as error:
            found.append(Violation("history", f"the history is corrupted: {error}", run.virtual_s))
    for what in ("A background task failed and is begun again", UNHEARD):
        times = run.said.get(what, 0)
        if times:
            found.append(Violation("nothing_fails_inside", f"{what} ({times} times)", run.virtual_s))
    return RunVerdict(run.seed, run.trace, tuple(found), run.virtual_s, run.wall_s, run.steps, sometimes)


@dataclass(slots=True)
class RunsReport:
    """The sum of the runs so far."""

    scenario: str
    wanted: int
    wall_s: float = 0.0
    verdicts: dict[int, RunVerdict] = field(default_factory=dict)

    def add(self, verdicts: Iterable[RunVerdict]) -> None:
        for verdict in verdicts:
            self.verdicts[verdict.seed] = verdict

    @property
    def violations(self) -> list[tuple[int, Violation]]:
        return [(seed, each) for seed, verdict in sorted(self.verdicts.items()) for each in verdict.violations]

    @property
    def complete(self) -> bool:
        return len(self.verdicts) == self.wanted

    @property
    def sometimes(self) -> dict[str, int]:
        totals: Counter[str] = Counter(dict.fromkeys(SOMETIMES, 0))
        for verdict in self.verdicts.values():
            totals.update(verdict.sometimes)
        return dict(totals)

    @property
    def never(self) -> list[str]:
        """What never happened and should have, in so many runs."""
        if len(self.verdicts) < ENOUGH_SEEDS:
            return []
        match self.scenario:
            case "standard":
                return list(missing(self.sometimes))
            case "outbox":
                return list(missing_of_the_outbox(self.sometimes))
            case _:
                return []

    @property
    def trace(self) -> str:
        """One fingerprint of all runs, whatever order they were made in."""
        digest = blake2b(digest_size=16)
        for seed, verdict in sorted(self.verdicts.items()):
            digest.update(f"{seed} {verdict.trace}\n".encode())
        return digest.hexdigest()

    @property
    def is_well(self) -> bool:
        return self.complete and not self.violations and not self.never

    def document(self) -> dict[str, Any]:
        """As `homing sim run --json` prints it."""
        return {
            "scenario": self.scenario,
            "seeds": len(self.verdicts),
            "complete": self.complete,
            "violations": [
                {"seed": seed, "checker": each.checker, "what": each.what} for seed, each in self.violations
            ],
            "trace_hash": self.trace,
            "virtual_s": round(sum(verdict.virtual_s for verdict in self.verdicts.values()), 3),
            "wall_s": round(self.wall_s, 3),
            "sometimes": self.sometimes,
            "never": self.never,
        }

"""What came of a run: by kind of fault, and altogether."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from homing.lab.chaos.batch_judge import BatchVerdict
from homing.lab.chaos.faults.kind import FaultKind
from homing.lab.chaos.faults.kinds import KINDS
from homing.lab.chaos.judge import LoadVerdict
from homing.lab.chaos.rounds import Played
from homing.lab.chaos.soak import Growth


@dataclass(slots=True)
class Tally:
    """All repeats of one kind of fault."""

    kind: FaultKind
    played: list[Played] = field(default_factory=list)
    verdict: LoadVerdict = field(default_factory=LoadVerdict)
    unsent: Counter[str] = field(default_factory=Counter)
    """The last answers to messages that were not answered as sent, cut short."""
    at_first: Counter[str] = field(default_factory=Counter)
    """The first answers where they were not 200, cut short."""

    @property
    def recovery(self) -> list[float]:
        return [took_s for each in self.played for took_s in each.recovery]

    @property
    def false_moves(self) -> int:
        return sum(each.false_moves for each in self.played)

    @property
    def wrong(self) -> list[str]:
        """Every promise that was broken, in words."""
        told = [f"{each.kind} {each.number}: {what}" for each in self.played for what in each.wrong]
        counts = {
            "messages were lost": self.verdict.lost,
            "messages were said twice": self.verdict.doubled,
            "messages were never answered": self.verdict.unanswered,
            "messages were answered 500 at least once": self.verdict.raw,
            "requests were not answered 200 at first": 0 if self.kind.fails else self.verdict.failed_at_first,
        }
        return told + [f"{self.kind.name}: {count} {what}" for what, count in counts.items() if count]

    def document(self) -> dict[str, Any]:
        return {
            "fault": self.kind.name,
            "does": self.kind.does,
            "repeats": len(self.played),
            "recovery_s": spread(self.recovery),
            "within_s": self.kind.within_s,
            **asdict(self.verdict),
            "moves": sum(each.moves for each in self.played),
            "false_moves": self.false_moves,
            "unsent": dict(self.unsent.most_common(10)),
            "at_first": dict(self.at_first.most_common(10)),
            "wrong": self.wrong,
        }


@dataclass(slots=True)
class Results:
    """A whole run. `left_out`: kinds that this fleet could not be struck with, each with what it lacks."""

    fleet: str
    seed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False
    broke_off: list[str] = field(default_factory=list)
    """Why the run could not go on with a fleet, if it could not."""
    growths: Sequence[Growth] = ()
    samples: Mapping[str, Sequence[tuple[float, int, int]]] = field(default_factory=dict)
    """Of a soak: how each process grew, and what it had when."""
    between: LoadVerdict = field(default_factory=LoadVerdict)
    unsent: Counter[str] = field(default_factory=Counter)
    """Messages that began while nothing was wrong."""
    under_old_epochs: list[str] = field(default_factory=list)
    batches: BatchVerdict | None = None
    """What came of batches, where those were the load."""
    took_s: float = 0.0
    unreadable: int | None = None
    """Messages that phones could not decrypt at first; None where nothing is encrypted."""

    def add(self, played: Played) -> None:
        self.tallies.setdefault(played.kind, Tally(KINDS[played.kind])).played.append(played)

    @property
    def repeats(self) -> int:
        return sum(len(tally.played) for tally in self.tallies.values())

    @property
    def total(self) -> LoadVerdict:
        return sum((tally.verdict for tally in self.tallies.values()), self.between)

    @property
    def wrong(self) -> list[str]:
        told = [what for tally in self.tallies.values() for what in tally.wrong]
        calm = self.between
        if calm.lost or calm.doubled or calm.unanswered:
            told.append(
                f"between faults: {calm.lost} lost, {calm.doubled} said twice, {calm.unanswered} never answered"
            )
        told += [f"said under an old epoch, after a newer one: {text}" for text in self.under_old_epochs]
        told += [what for each in self.growths for what in each.wrong]
        told += self.batches.wrong if self.batches is not None else []
        return told + self.broke_off

    @property
    def kept(self) -> bool:
        """Every promise was kept, as far as the run went."""
        return self.repeats > 0 and not self.wrong

    def document(self) -> dict[str, Any]:
        return {
            "fleet": self.fleet,
            "seed": self.seed,
            "repeats": self.repeats,
            "kinds": len(self.tallies),
            "kept": self.kept,
            "interrupted": self.interrupted,
            "faults": [tally.document() for tally in self.tallies.values()],
            "total": {**asdict(self.total), "under_old_epochs": len(self.under_old_epochs)},
            "unreadable_at_first": self.unreadable,
            "unsent_between": dict(self.unsent.most_common(10)),
            "left_out": dict(self.left_out),
            "batches": self.batches.document() if self.batches is not None else None,
            "growths": [each.document() for each in self.growths],
            "samples": dict(self.samples),
            "wrong": self.wrong,
            "took_s": round(self.took_s, 1),
        }


def spread(times: Iterable[float]) -> dict[str, float]:
    """p50, p99 and max of some times in seconds; zeros of none."""
    ordered = sorted(times)

    def at(share: float) -> float:
        return round(ordered[max(0, math.ceil(len(ordered) * share) - 1)], 3) if ordered else 0.0

    return {"n": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": at(1.0)}

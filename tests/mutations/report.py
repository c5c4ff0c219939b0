"""What came of the defects, for people and for machines."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.mutations.defect import Defect
from tests.mutations.trying import Caught, Missed


@dataclass(slots=True)
class Score:
    """What came of the defects tried so far, out of `wanted`. `unsound` are complaints that come without any defect."""

    wanted: int
    took_s: float = 0.0
    unsound: list[str] = field(default_factory=list)
    results: dict[str, tuple[Defect, Caught | Missed | str]] = field(default_factory=dict)

    def add(self, defect: Defect, result: Caught | Missed) -> None:
        self.results[defect.name] = (defect, result)

    def fail(self, defect: Defect, why: str) -> None:
        """It could not be tried."""
        self.results[defect.name] = (defect, why)

    @property
    def caught(self) -> list[Caught]:
        return [result for _, result in self.results.values() if isinstance(result, Caught)]

    @property
    def missed(self) -> list[Defect]:
        return [defect for defect, result in self.results.values() if isinstance(result, Missed)]

    @property
    def untried(self) -> list[tuple[Defect, str]]:
        return [(defect, result) for defect, result in self.results.values() if isinstance(result, str)]

    @property
    def complete(self) -> bool:
        return len(self.results) == self.wanted and not self.untried

    @property
    def share(self) -> float:
        return len(self.caught) / self.wanted if self.wanted else 0.0

    def document(self) -> dict[str, Any]:
        return {
            "defects": self.wanted,
            "caught": len(self.caught),
            "missed": [defect.name for defect in self.missed],
            "untried": {defect.name: why for defect, why in self.untried},
            "unsound": self.unsound,
            "took_s": round(self.took_s, 1),
            "each": [
                {"name": name, "by": result.by, "what": result.what, "after_s": round(result.after_s, 1)}
                for name, (_, result) in self.results.items()
                if isinstance(result, Caught)
            ],
        }


def line(score: Score, defect: Defect) -> str:
    """What came of one."""
    _, result = score.results[defect.name]
    where = f"{len(score.results):3}/{score.wanted}  {defect.name:28}"
    match result:
        case Caught(by=by, what=what, after_s=after_s):
            return f"{where} {after_s:5.1f} s  {by}: {what}"
        case Missed(after_s=after_s):
            return f"{where} {after_s:5.1f} s  MISSED: {defect.says}"
        case str():
            return f"{where} could not be tried: {result}"


def summary(score: Score) -> str:
    """What came of all of them."""
    lines = [f"without any defect there is a complaint: {complaint}" for complaint in score.unsound]
    lines += [f"missed: {defect.name}: {defect.says} (src/{defect.file})" for defect in score.missed]
    lines += [f"untried: {defect.name}: {why}" for defect, why in score.untried]
    soon = f", half of them within {median(each.after_s for each in score.caught):.1f} s" if score.caught else ""
    share = f"{100 * score.share:.0f} %"
    lines.append(f"{len(score.caught)} of {score.wanted} defects noticed ({share}){soon}; {score.took_s:.0f} s in all")
    return "\n".join(lines)

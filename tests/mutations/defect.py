"""A defect as data: what is changed where, and where it should be noticed."""

from dataclasses import dataclass
from pathlib import Path


class Outdated(Exception):
    """The code that a defect changes is not there (once) any more. The message says which and where."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Files of the suite, or single tests, most telling first."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        return "the tests"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Runs of the simulator, one seed after the other from 0."""

    scenario: str = "standard"
    many: int = 12

    def __str__(self) -> str:
        return f"the simulator ({self.scenario})"


Probe = Suite | Seeds


@dataclass(frozen=True, slots=True)
class Defect:
    """`old` becomes `new` in `file`, below `src`. `probes` are tried in their order, then the simulator."""

    name: str
    says: str
    file: str
    old: str
    new: str
    probes: tuple[Probe, ...]

    def applied(self, source: str) -> str:
        """The file's text with the defect in it. Raises Outdated."""
        found = source.count(self.old)
        if found != 1:
            raise Outdated(f"{self.name}: what it changes is in src/{self.file} {found} times, not once")
        return source.replace(self.old, self.new)


def tests(*files: str) -> Suite:
    return Suite(tuple(f"tests/{file}" for file in files))


def source_of(root: Path, defect: Defect) -> Path:
    return root / "src" / defect.file

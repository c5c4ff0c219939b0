"""Who keeps others from writing."""

import itertools
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A process with the write lock of a database file. `is_stopped`: it stands still until it is told to go on.

    `mark` is what the names of its incarnations end with; empty where the system does not tell enough.
    """

    pid: int
    command: tuple[str, ...]
    is_stopped: bool
    mark: str = ""

    @property
    def is_instance(self) -> bool:
        """Whether it is one of our instances (`homing instance …`, `python -m homing.cli instance …`)."""
        names = [PurePath(word).name for word in self.command]
        return any(pair in (("homing", "instance"), ("homing.cli", "instance")) for pair in itertools.pairwise(names))

    def __str__(self) -> str:
        return f"process {self.pid} ({' '.join(self.command)[:200]})"

"""What the flows report of themselves."""

from collections.abc import Mapping
from typing import Protocol

from homing.model.fleet import InstanceUrl, MoveKind
from homing.model.sends.faults import Phase
from homing.model.tracing import TellSpan


class Meters(Protocol):
    """What the flows report of themselves, to be scraped or ignored."""

    spans: TellSpan | None
    """Where spans are told to a collector of traces."""

    def instance_called(self, instance: InstanceUrl, call: str) -> None: ...

    def call_not_made(self, instance: InstanceUrl, call: str) -> None:
        """One of the calls that were counted was not made after all, because of a limit of our own."""
        ...

    def moved(self, kind: MoveKind, count: int = 1) -> None: ...

    def sent_through(self, family: str, phase: Phase | None, took_s: float) -> None:
        """One attempt to hand a message to an instance of this family took so long; `phase` is None if it took it."""
        ...

    def arrived(self, kind: MoveKind, took_s: float, steps_ms: Mapping[str, int]) -> None:
        """A session that was to move can send where it went, so long after that was wished for, in these steps."""
        ...

    def sender_unknown(self, cause: str) -> None:
        """Somebody spoke who cannot be told from others, for this one of a few causes."""
        ...

    def looked(self) -> None: ...

"""What the product itself says while it runs: for the timeline and for counting, never for judging."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from homing.lab.sim.trial.world.processes import running_in

_SHOWN = ("session_id", "url", "old_url", "new_url", "epoch", "state", "reason", "error", "fence", "verdict")


UNHEARD = "An error that nobody heard of"
"""What asyncio has to say to its loop: of a task that failed and that nobody waited for, or of a failed callback."""


@dataclass(slots=True)
class Diary:
    """Lines, each at its time and of its process, and how often each thing was said."""

    clock: Callable[[], float]
    lines: list[tuple[float, str, str]] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    keep: bool = False
    closed: bool = False

    def note(self, what: str, **facts: Any) -> None:
        if self.closed:
            return
        self.said[what] += 1
        if self.keep:
            shown = ", ".join(f"{name}={facts[name]}" for name in _SHOWN if facts.get(name) is not None)
            self.lines.append((self.clock(), running_in(), f"{what}: {shown}" if shown else what))


@contextmanager
def written_to(diary: Diary) -> Iterator[None]:
    """What is logged within this block goes to the diary and nowhere else."""
    before = structlog.get_config()
    structlog.configure(
        processors=[_to(diary)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _to(diary: Diary) -> Callable[[Any, str, MutableMapping[str, Any]], Any]:
    def process(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
        facts = dict(event)
        diary.note(str(facts.pop("event")), **facts)
        raise structlog.DropEvent

    return process

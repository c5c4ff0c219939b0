"""A history sorted by what its events tell of, as checkers read it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from homing.lab.sim.trial.judging.history import Happened, checked
from homing.lab.sim.trial.scenario import Scenario

Found = Iterator[tuple[float, str]]
Checker = Callable[["SortedHistory"], Found]


class SortedHistory:
    """A history, sorted by what its events tell of."""

    def __init__(self, scenario: Scenario, events: Sequence[Happened]) -> None:
        self.scenario, self.events = scenario, checked(list(events))
        self._by: dict[str, list[Happened]] = defaultdict(list)
        for event in self.events:
            self._by[event.what].append(event)
        self.kinds = {event["kind"] for event in self.of("fault")}
        self.end_s = self.events[-1].at_s

    def of(self, *words: str) -> list[Happened]:
        if len(words) == 1:
            return self._by[words[0]]
        return sorted((event for word in words for event in self._by[word]), key=lambda event: event.at_s)

    def by(self, name: str, *words: str) -> dict[Any, list[Happened]]:
        """The events of these kinds, by one of their facts."""
        found: dict[Any, list[Happened]] = defaultdict(list)
        for event in self.of(*words):
            found[event[name]].append(event)
        return found

    @property
    def lost_commits(self) -> bool:
        """Whether the store lost commits that it had told of."""
        return "store fails over" in self.kinds

    def store_troubled(self, gateway: str, at_s: float) -> bool:
        """Whether this gateway may not have reached the store at that time."""
        begun: dict[tuple[str, str, str], int] = defaultdict(int)
        for event in self.of("fault", "healed"):
            if event.at_s > at_s:
                break
            key = (event["kind"], event["where"], event["other"])
            begun[key] += 1 if event.what == "fault" else -1
        return any(
            number > 0 and (kind.startswith("store") or {where, other} == {gateway, "store"})
            for (kind, where, other), number in begun.items()
        )

    @property
    def foreign(self) -> set[str]:
        """Sessions of somebody else's gateways, which know of no epochs."""
        return set(self.scenario.foreign_session_ids)

    @property
    def odd_sessions(self) -> set[str]:
        """Sessions that a stranger took, and which may rightly be left alone since."""
        return {event["where"] for event in self.of("fault") if event["kind"] == "a stranger uses the login"}

    # --- of the outbox ------------------------------------------------------------------------------------------------

    @cached_property
    def delivered_texts(self) -> set[str]:
        """What reached somebody."""
        return {event["text"] for event in self.of("delivered")}

    @cached_property
    def _paused(self) -> set[str]:
        return {batch["id"] for batch in self.of("batch") if batch["state"] == "paused"}

    def is_paused(self, batch: str | None) -> bool:
        """Whether it waits because somebody paused its batch."""
        return batch in self._paused

    @property
    def all_is_reported(self) -> bool:
        """Whether what instances know has come to the gateways in the end."""
        return not any(event["ids"] for event in self.of("kept"))

"""Breadth first through every state that can be reached; the first one that must not be has the shortest history."""

import gc
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from homing.lab.sim.exhaustive.nouns import SmallWorld
from homing.lab.sim.exhaustive.parts import canonical
from homing.lab.sim.exhaustive.vault import Rulebook
from homing.lab.sim.exhaustive.world import beginning, steps


@dataclass(frozen=True, slots=True)
class Counterexample:
    """What must never be, and the shortest history that leads there, a line for each step."""

    what: str
    history: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Searched:
    """How far the search went. `complete`: every state that can be reached was seen, and none of them was wrong."""

    states: int
    transitions: int
    depth: int
    wall_s: float
    complete: bool
    found: Counterexample | None = None


class Search:
    """One search. `told` hears after each depth how many states are known."""

    def __init__(self, book: Rulebook, *, told: Callable[[int, int], None] | None = None) -> None:
        self._book, self._told = book, told
        self._known: dict[int, int] = {}
        self._parents, self._choices = array("q"), array("i")
        self._transitions = 0

    def run(self, *, max_depth: int | None = None, max_states: int | None = None) -> Searched:
        collecting = gc.isenabled()
        gc.disable()  # states hold no cycles, and looking for them takes most of the time
        try:
            return self._run(max_depth, max_states)
        finally:
            if collecting:
                gc.enable()

    def _run(self, max_depth: int | None, max_states: int | None) -> Searched:
        began_s = time.monotonic()
        first = beginning(self._book)
        self._add(hash(first), -1, -1)
        level, depth = [(0, first)], 0
        while level and (max_depth is None or depth < max_depth):
            if max_states is not None and len(self._parents) > max_states:
                break
            level, wrong = self._next_level(level)
            depth += 1
            if wrong is not None:
                return self._searched(depth, began_s, found=wrong)
            if self._told is not None:
                self._told(depth, len(self._parents))
        return self._searched(depth, began_s, complete=not level)

    def _next_level(
        self, level: list[tuple[int, SmallWorld]]
    ) -> tuple[list[tuple[int, SmallWorld]], Counterexample | None]:
        following: list[tuple[int, SmallWorld]] = []
        for number, state in level:
            for choice, step in enumerate(steps(state, self._book)):
                self._transitions += 1
                if step.broken is not None:
                    return following, self._counterexample(number, choice, step.broken)
                after = canonical(step.after, self._book)
                key = hash(after)
                if key not in self._known:
                    following.append((self._add(key, number, choice), after))
        return following, None

    def _add(self, key: int, parent: int, choice: int) -> int:
        number = self._known[key] = len(self._parents)
        self._parents.append(parent)
        self._choices.append(choice)
        return number

    def _counterexample(self, number: int, choice: int, what: str) -> Counterexample:
        choices = [choice]
        while number:
            choices.append(self._choices[number])
            number = self._parents[number]
        state, history = beginning(self._book), list[str]()
        for each in reversed(choices):
            step = next(islice(steps(state, self._book), each, None))
            history.append(step.words)
            state = canonical(step.after, self._book)
        return Counterexample(what, tuple(history))

    def _searched(
        self, depth: int, began_s: float, *, complete: bool = False, found: Counterexample | None = None
    ) -> Searched:
        wall_s = time.monotonic() - began_s
        return Searched(len(self._parents), self._transitions, depth, wall_s, complete, found)

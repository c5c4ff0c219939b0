"""So many account-weeks from one seed, and what they came to."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from random import Random
from statistics import median
from typing import Any

from homing.lab.deaf import lives, together
from homing.lab.deaf.breakages import FAMILIES
from homing.lab.deaf.play import DeafStory, LivedAccount, LivedWeeks
from homing.lab.deaf.together import DeafTogether

WEEKS_EACH = 5


@dataclass(slots=True)
class DeafReport:
    """What was seen. `weeks` are account-weeks."""

    weeks: int
    accounts: int
    stories: list[DeafStory] = field(default_factory=list)
    rungs: Counter[str] = field(default_factory=Counter)
    false_ladders: list[str] = field(default_factory=list)
    false_doubts: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    together: dict[str, DeafTogether] = field(default_factory=dict)

    @property
    def counted(self) -> list[DeafStory]:
        """The deaf times in which an hour of the account's usual traffic came, or that were noticed before."""
        return [each for each in self.stories if each.counts]

    @property
    def noticed(self) -> int:
        return sum(each.in_time for each in self.counted)

    @property
    def median_minutes(self) -> float | None:
        """Of usual traffic, from going deaf until it was noticed, of busy accounts."""
        minutes = [each.usual_min for each in self.stories if each.busy and each.noticed_s is not None]
        return round(median(minutes), 1) if minutes else None

    @property
    def is_well(self) -> bool:
        late = len(self.counted) - self.noticed
        in_time = late <= 0.01 * len(self.counted)
        return not self.false_ladders and in_time and all(each.is_well for each in self.together.values())

    def document(self) -> dict[str, Any]:
        return {
            "weeks": self.weeks,
            "accounts": self.accounts,
            "false_ladders": len(self.false_ladders),
            "deaf": len(self.counted),
            "noticed": self.noticed,
            "median_minutes": self.median_minutes,
            "rungs": dict(sorted(self.rungs.items())),
            "false_doubts": len(self.false_doubts),
            "never_could_show": len(self.stories) - len(self.counted),
            "together": {name: each.document() for name, each in self.together.items()},
        }


def run(weeks: int, seed: int, *, processes: int = 1, told: Callable[[int, int], None] | None = None) -> DeafReport:
    """`weeks` account-weeks, of accounts that live five weeks each; the same however many processes play them."""
    began = time.perf_counter()
    each = min(WEEKS_EACH, weeks)
    accounts = -(-weeks // each)
    report = DeafReport(accounts * each, accounts)
    for number, played in enumerate(_played(seed, each, accounts, processes), start=1):
        report.stories += played.stories
        report.rungs += played.rungs
        report.false_ladders += played.false_ladders
        report.false_doubts += played.false_doubts
        if told is not None:
            told(number, accounts)
    report.together = together.played()
    report.wall_s = time.perf_counter() - began
    return report


def _played(seed: int, weeks: int, accounts: int, processes: int) -> Iterator[LivedWeeks]:
    """The accounts' weeks, in the order of their numbers."""
    one = partial(_account, seed, weeks)
    if processes == 1:
        yield from map(one, range(accounts))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(one, range(accounts), chunksize=4)


def _account(seed: int, weeks: int, number: int) -> LivedWeeks:
    lived = weeks + round(lives.WARM_UP_S / lives.WEEK_S)
    closed = lives.holidays(Random(seed), lived * 7)  # noqa: S311 - a simulation
    own = Random(f"{seed}/{number}")  # noqa: S311 - a simulation
    profile = lives.profile(own, lived, closed)
    family = own.choices(FAMILIES, [each.weight for each in FAMILIES])[0]
    return LivedAccount(number, own, profile, family).play()

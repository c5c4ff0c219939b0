"""Whether gateways and instances grow while they run: their memory and their descriptors, sampled and judged."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from homing.demo.processes import Child
from homing.lab.chaos.stage import Stage

SAMPLED_EVERY_S = 5.0
WARM_UP_SHARE = 1 / 3
"""Of the time that was watched: what a process takes at first, it may keep."""
SAMPLES_MIN = 12
MEMORY_GROWS_MAX = 0.05
MEMORY_GROWS_MAX_BYTES = 6 << 20
"""Over the time that is judged, the larger of the two."""
DESCRIPTORS_GROW_MAX = 4
_JUDGED_MAX = 300
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What a process has at a moment. Monotonic seconds.

    `descriptors`: beyond those of the sessions that it holds, one each, which come and go.
    """

    at_s: float
    memory_bytes: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How one process grew after its warm-up. Of each figure: at the beginning, at the end, and the trend between."""

    process: str
    judged_s: float
    memory_from_bytes: int
    memory_to_bytes: int
    memory_grew_bytes: int
    descriptors_from: int
    descriptors_to: int
    descriptors_grew: float

    @property
    def memory_may_grow_bytes(self) -> int:
        return max(MEMORY_GROWS_MAX_BYTES, round(self.memory_from_bytes * MEMORY_GROWS_MAX))

    @property
    def wrong(self) -> list[str]:
        """What is not flat, in words."""
        told = []
        within = f"within {self.judged_s / 60:.0f} minutes"
        if self.memory_grew_bytes > self.memory_may_grow_bytes:
            grew, may = self.memory_grew_bytes / 2**20, self.memory_may_grow_bytes / 2**20
            told.append(f"{self.process} grew by {grew:.1f} MiB {within}, and not {may:.1f}")
        if self.descriptors_grew > DESCRIPTORS_GROW_MAX:
            more = f"{self.descriptors_grew:.0f} more descriptors {within}"
            told.append(f"{self.process} has {more}, and not {DESCRIPTORS_GROW_MAX}")
        return told

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "memory_may_grow_bytes": self.memory_may_grow_bytes, "flat": not self.wrong}


def growth(process: str, samples: Sequence[ProcessSample], warm_s: float) -> Growth | None:
    """How it grew from `warm_s` after its first sample on; None if that was too short to say.

    The trend is the median of the slopes between all pairs of samples (Theil and Sen), which a few peaks do not move.
    """
    judged = [sample for sample in samples if sample.at_s >= samples[0].at_s + warm_s]
    if len(judged) < SAMPLES_MIN:
        return None
    judged_s = judged[-1].at_s - judged[0].at_s
    memory = _slope([(sample.at_s, sample.memory_bytes) for sample in judged]) * judged_s
    descriptors = _slope([(sample.at_s, sample.descriptors) for sample in judged]) * judged_s
    few = len(judged) // 4
    first, last = judged[:few], judged[-few:]
    return Growth(
        process,
        judged_s,
        round(median(sample.memory_bytes for sample in first)),
        round(median(sample.memory_bytes for sample in last)),
        round(memory),
        round(median(sample.descriptors for sample in first)),
        round(median(sample.descriptors for sample in last)),
        round(descriptors, 1),
    )


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """A second."""
    thinned = points[:: len(points) // _JUDGED_MAX + 1]
    return median((b - a) / (at_b - at_a) for (at_a, a), (at_b, b) in combinations(thinned, 2))


@dataclass(slots=True)
class ResourceWatch:
    """Samples gateways and instances from the block's begin to its end. A process in another's place begins anew."""

    stage: Stage
    every_s: float = SAMPLED_EVERY_S
    _samples: dict[tuple[str, int], list[ProcessSample]] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)
    _sampling: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        self._sampling = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)

    def growths(self) -> list[Growth]:
        """Of every process that lived long enough."""
        warm_s = (time.monotonic() - self._began_s) * WARM_UP_SHARE
        judged = (growth(f"{name} ({pid})", samples, warm_s) for (name, pid), samples in self._samples.items())
        return [each for each in judged if each is not None]

    def document(self) -> Mapping[str, list[tuple[float, int, int]]]:
        """Every sample: seconds since the begin, bytes, descriptors."""
        return {
            f"{name} ({pid})": [
                (round(each.at_s - self._began_s, 1), each.memory_bytes, each.descriptors) for each in samples
            ]
            for (name, pid), samples in self._samples.items()
        }

    async def _run(self) -> None:
        while True:
            stage = self.stage
            for child in stage.demo.gateways.values():
                self._take(child, 0)
            lists = await asyncio.gather(*map(stage.listed, stage.instances))
            for url, held in zip(stage.instances, lists, strict=True):
                if held is not None:  # else it cannot say at the moment what its descriptors are for
                    self._take(stage.demo.instances[url], len(held))
            await asyncio.sleep(self.every_s)

    def _take(self, child: Child, sessions: int) -> None:
        with suppress(OSError, ValueError, IndexError):
            self._samples.setdefault((child.name, child.pid), []).append(sample(child.pid, sessions))


def sample(pid: int, sessions: int = 0) -> ProcessSample:
    """Raises OSError of a process that is gone, and where the system does not tell."""
    process = Path("/proc") / str(pid)
    pages = int((process / "statm").read_text().split()[1])
    return ProcessSample(time.monotonic(), pages * _PAGE_BYTES, sum(1 for _ in (process / "fd").iterdir()) - sessions)

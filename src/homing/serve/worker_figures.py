"""The figures of all workers behind one port: whichever is asked for /metrics tells those of its neighbours too.

Each one answers at a Unix socket of its own. Every sample gets the label `worker`; one that does not answer in time is
left out, and `homing_workers_answered` says how many did.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

ANSWER_WITHIN_S = 1.0
BYTES_MAX = 8 * 1024 * 1024

Exposition = Callable[[], bytes]


class WorkerFigures:
    """One worker's place among the others. `folder` holds a socket for each of the `of` workers."""

    def __init__(self, folder: Path, number: int, of: int, own: Exposition) -> None:
        self._folder, self._number, self._of, self._own = folder, number, of, own
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Answer the others from now on, in place of whoever had this number before."""
        path = self._path(self._number)
        with suppress(FileNotFoundError):
            path.unlink()
        self._server = await asyncio.start_unix_server(self._answer, path)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def exposition(self) -> bytes:
        """The figures of all that answer, in Prometheus' text form."""
        others = [number for number in range(1, self._of + 1) if number != self._number]
        told = await asyncio.gather(*(self._ask(number) for number in others))
        texts = {self._number: self._own(), **dict(zip(others, told, strict=True))}
        return generate_latest(_Together({number: text for number, text in texts.items() if text}))

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(self._own())
            await writer.drain()
        writer.close()

    async def _ask(self, number: int) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reader, writer = await asyncio.open_unix_connection(self._path(number))
                try:
                    return await reader.read(BYTES_MAX) + await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.figures"


class _Together(Collector):
    """Expositions by worker, as one: each family once, its samples under the worker's number."""

    def __init__(self, texts: dict[int, bytes]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for number, text in sorted(self._texts.items()):
            for family in text_string_to_metric_families(text.decode()):
                whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(number)}
                    whole.samples.append(sample._replace(labels=labels))
        answered = GaugeMetricFamily("homing_workers_answered", "Workers whose figures these are")
        answered.add_metric([], len(self._texts))
        return [*families.values(), answered]

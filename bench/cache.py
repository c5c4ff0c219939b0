"""What the route cache saves: directory reads for a hundred sends at once, and for very many over many accounts."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.fleet import Fleet
from bench.report import Report, Spread

AT_ONCE = 32
BURST = 100
READS_PER_MESSAGE = 0.003
HIT_RATE = 0.99


@dataclass(frozen=True, slots=True)
class Figures:
    """What /metrics counts, over all gateways."""

    reads: float
    hits: float
    misses: float

    def since(self, before: "Figures") -> "Figures":
        return Figures(self.reads - before.reads, self.hits - before.hits, self.misses - before.misses)

    @property
    def hit_rate(self) -> float:
        return self.hits / (self.hits + self.misses)


async def run(fleet: Fleet, *, sends: int) -> Report:
    """A hundred sends at once on a cold cache; then `sends` over all accounts, contacts and gateways."""
    accounts, contacts = len(fleet.residents), len(fleet.demo.population.contacts)
    report = Report(f"The route cache: {sends:,} sends, {accounts} accounts, {contacts:,} contacts")
    await _cold(fleet, report)
    await fleet.call("POST", "/api/v1/cache/clear")
    before, known = await _figures(fleet), len(fleet.answered)
    began_s = time.monotonic()
    numbers = iter(range(sends))
    await asyncio.gather(*(_client(fleet, numbers) for _ in range(AT_ONCE)))
    took_s = time.monotonic() - began_s
    _conclude(report, (await _figures(fleet)).since(before), sends, len(fleet.gateways))
    fleet.judge(report)
    report.add(f"sends/s, {AT_ONCE} clients, every process on this machine", "", f"{sends / took_s:,.0f}")
    report.add("time of a send", "", Spread([each.took_s for each in fleet.answered[known:]]))
    return report


async def _cold(fleet: Fleet, report: Report) -> None:
    await fleet.call("POST", "/api/v1/cache/clear")
    before = await _figures(fleet)
    await asyncio.gather(*(fleet.send(fleet.residents[0]) for _ in range(BURST)))
    grown = (await _figures(fleet)).since(before)
    report.add(f"{BURST} sends at once, cold: directory reads", "1", f"{grown.reads:.0f}", grown.reads == 1)


async def _client(fleet: Fleet, numbers: Iterator[int]) -> None:
    accounts = len(fleet.residents)
    for number in numbers:
        await fleet.send(fleet.residents[number % accounts], gateway=number // accounts, contact=number * 7)


async def _figures(fleet: Fleet) -> Figures:
    return Figures(
        await fleet.figure("homing_directory_reads_total"),
        await fleet.figure("homing_route_cache_hits_total"),
        await fleet.figure("homing_route_cache_misses_total"),
    )


def _conclude(report: Report, grown: Figures, sends: int, gateways: int) -> None:
    """Each gateway has to learn each account once: with few messages that is a larger share of them."""
    many = sends >= 50_000
    share = READS_PER_MESSAGE if many else 110 * gateways / sends
    rate = HIT_RATE if many else 1 - share
    per_message = grown.reads / sends
    report.add("directory reads per message", f"≤ {share:.3g}", f"{per_message:.5f}", per_message <= share)
    report.add("hit rate", f"> {rate:.3g}", f"{grown.hit_rate:.5f}", grown.hit_rate > rate)
